"""What recurs, while the clock is set."""

from datetime import UTC, datetime, timedelta

from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler

from recipes.clocks.interval import FromNow
from tests.conftest import NOW

FIVE = timedelta(seconds=5)


def _job(next_run_time: datetime) -> Job:
    scheduler = BackgroundScheduler(timezone=UTC)
    job: Job = scheduler.add_job(print, FromNow(FIVE), next_run_time=next_run_time)
    return job


def test_it_recurs_by_its_interval() -> None:
    """Not by when the job got its turn: that would be later every time."""
    assert FromNow(FIVE).get_next_fire_time(NOW, NOW + FIVE / 2) == NOW + FIVE


def test_a_machine_that_learns_the_date_makes_up_for_nothing() -> None:
    """Every five seconds since 1970 are 350 million times, and all would be listed."""
    job = _job(datetime(1970, 1, 1, tzinfo=UTC))
    assert len(job._get_run_times(NOW)) == 1
    assert job.trigger.get_next_fire_time(job.next_run_time, NOW) == NOW + FIVE
