"""The clock of one machine: one dispatching thread, a pool of calling threads, APScheduler for what recurs.

The dispatching thread is the engine's only writer. Each turn settles what has come back, fans out what is new and
claims what is due in one transaction, so that under load many runs share a commit.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlmodel import Session

from recipes import engine as runs
from recipes import upkeep
from recipes.clocks.dispatching import FAN_OUT_BATCH, LOOK_SECONDS, Dispatcher
from recipes.clocks.interval import FromNow
from recipes.db import UNAVAILABLE, transaction
from recipes.mail import Mailer
from recipes.retention import forget_old
from recipes.settings import Settings
from recipes.spool import Spool

logger = logging.getLogger(__name__)

SET_BACK = timedelta(seconds=5)
_RETENTION = "retention"
RETENTION_BEGINS = timedelta(minutes=5)
# Between two turns: while deliveries come, and while none do.
LONGEST_REST, SHORT_REST = 0.02, 0.004
BURST_SECONDS = 0.05


class EmbeddedClock(Dispatcher):
    """Runs the engine in this process until stopped. There must be one at a time on a SQLite file."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clients: runs.performing.Clients,
        mailer: Mailer,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        alive: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        works: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(engine, settings, clients, now, alive, monotonic, works)
        self._settings = settings
        self._mailer = mailer
        self._spool = Spool(settings.spool)
        self._limits = runs.Limits()
        self._woken_at = 0.0

    def wake(self) -> None:
        """Tells the dispatching thread that there is something to do, as after a delivery."""
        self._woken_at = self._monotonic()
        super().wake()

    def run(self) -> None:
        """Dispatches until stop() is called. A call takes 30 s at the most, so it ends soon after."""
        upkeep.recover_runs(self._engine, self._now(), only_lease=self._lease)
        upkeep.mend_due_times(self._engine, self._now())
        scheduler = self._scheduler()
        scheduler.start()
        ahead, back = self._ahead(), timedelta(0)
        try:
            while not self._is_done():
                # By itself, too: APScheduler goes by the time of day, and that can be set back by an hour.
                self._look.wait(LOOK_SECONDS)
                self._look.clear()
                self._alive()
                before, ahead = ahead, self._ahead()
                if before - ahead > SET_BACK:
                    back += before - ahead
                if back and self._follow_clock(scheduler, back):
                    back = timedelta(0)
                begun = self._monotonic()
                self._turn_safely()
                self._rest(self._monotonic() - begun)
        finally:
            scheduler.shutdown(wait=False)
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _rest(self, held: float) -> None:
        # SQLite's lock is nobody's turn: who waits for it looks now and then whether it is free. So while deliveries
        # come it is left to the receiver for as long as it was held here. What comes back meanwhile shares a commit.
        has_company = self._monotonic() - self._woken_at < BURST_SECONDS
        self._stopping.wait(min(held, LONGEST_REST if has_company else SHORT_REST))

    def _ahead(self) -> timedelta:
        """How far the time of day is ahead of a clock that nobody sets."""
        return self._now() - datetime.fromtimestamp(self._monotonic(), UTC)

    def _follow_clock(self, scheduler: BackgroundScheduler, back: timedelta) -> bool:
        """What waits for a time of the old clock waits only as long as it was to; whether that could be written."""
        for job in scheduler.get_jobs():
            if job.id != _RETENTION:
                job.modify(next_run_time=self._now())
        try:
            upkeep.mend_due_times(self._engine, self._now(), back)
        except UNAVAILABLE:
            return False
        return True

    def recover_lost(self) -> None:
        """Puts back runs whose lease has ended; never those that are under way here."""
        with self._claiming:
            # After a jump of the clock every lease has ended: ours are extended first, as of the same moment.
            now = self._now()
            self._extend_leases(now)
            upkeep.recover_runs(self._engine, now)

    def _settle(self, session: Session, returned: Sequence[runs.Performed], now: datetime) -> None:
        runs.settle(session, returned, now=now)

    def _make_runs(self, session: Session, now: datetime) -> bool:
        more_waits = runs.end_waits(session, now=now, limit=FAN_OUT_BATCH) == FAN_OUT_BATCH
        fanned_out = runs.fan_out(session, now=now, limit=FAN_OUT_BATCH)
        self._make_kept_runs(session, now)
        return more_waits or fanned_out == FAN_OUT_BATCH

    def _claim(self, session: Session, now: datetime, free: int, still_out: Collection[int]) -> list[runs.Claimed]:
        return runs.claim(
            session,
            now=now,
            lease=self._lease,
            limits=self._limits,
            limit=free,
            limit_each=self._most_calls // 2,
            still_out=still_out,
        )

    def _is_settled(self, performed: runs.Performed) -> None:
        super()._is_settled(performed)
        if performed.rest_until and performed.claimed.connection_id is not None:
            self._limits.rest(performed.claimed.connection_id, performed.rest_until)

    def _scheduler(self) -> BackgroundScheduler:
        # In memory only: jobs here say when to look; what there is to do stands in the run table.
        scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})
        # No job that runs but once: APScheduler fails when it is shut down while it takes such a one off its list.
        # By the scheduler's own clock, which is always the system's.
        scheduler.add_job(self._empty_spool, FromNow(timedelta(seconds=5)), next_run_time=datetime.now(UTC))
        for seconds, job in (
            (30, lambda: self._extend_leases(self._now())),
            (60, self.recover_lost),
            (60, self.try_unwritten),
            (60, lambda: upkeep.send_notices(self._engine, self._mailer, self._settings.public_url, self._now())),
            (900, lambda: upkeep.notice_silences(self._engine, self._mailer, self._settings.public_url, self._now())),
        ):
            scheduler.add_job(job, FromNow(timedelta(seconds=seconds)))
        # Not a day from now: a service that is started anew every day would never come to it.
        begins_at = self._now() + RETENTION_BEGINS
        scheduler.add_job(self._forget_old, FromNow(timedelta(days=1)), next_run_time=begins_at, id=_RETENTION)
        return scheduler

    def _empty_spool(self) -> None:
        if upkeep.empty_spool(self._engine, self._spool):
            self.wake()

    def _extend_leases(self, now: datetime) -> None:
        under_way = list(self._under_way)
        if under_way:
            with transaction(self._engine) as session:
                runs.extend_leases(session, lease=self._lease, runs=under_way, now=now)

    def _forget_old(self) -> None:
        try:
            forget_old(self._engine, keep_days=self._settings.keep_days, now=self._now(), pause=self._stopping.wait)
        except UNAVAILABLE as error:
            logger.warning("what is old stays another day: the database cannot be written (%s)", type(error).__name__)
