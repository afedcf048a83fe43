"""Every so often, by a clock that may be set."""

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.interval import IntervalTrigger


class FromNow(IntervalTrigger):
    """APScheduler's interval, which makes up for no time that was skipped.

    Its own lists every time that was missed before it runs a job once for all of them: on a machine that starts in 1970
    and then learns the date, more than there is memory for.
    """

    def __init__(self, interval: timedelta) -> None:
        super().__init__(seconds=interval.total_seconds(), timezone=UTC)  # type: ignore[no-untyped-call]

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """An interval after the previous time, or after now if that is over."""
        if previous_fire_time and previous_fire_time + self.interval <= now:
            return now + self.interval
        found: datetime | None = super().get_next_fire_time(previous_fire_time, now)  # type: ignore[no-untyped-call]
        return found
