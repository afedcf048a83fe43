"""The clock of one machine: one dispatching thread, a pool of calling threads, APScheduler for what recurs.

The dispatching thread is the engine's only writer. Each turn settles what has come back, fans out what is new and
claims what is due in one transaction, so that under load many runs share a commit.
"""

import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlmodel import Session

from recipes import engine as runs
from recipes import upkeep
from recipes.clocks.interval import FromNow
from recipes.db import UNAVAILABLE, reading, transaction
from recipes.mail import Mailer
from recipes.retention import forget_old
from recipes.rows import MerchantRows
from recipes.settings import Settings
from recipes.spool import Spool

logger = logging.getLogger(__name__)

FAN_OUT_BATCH = 500
# A call that takes longer makes room for another: a service that hangs costs a thread, and no quick one its turn.
QUICK_SECONDS = 1.0
# Calls at once, slow ones and all, for each of engine_threads, and in all; half of them may be one merchant's.
CALLS_EACH, MOST_CALLS = 8, 512
SET_BACK = timedelta(seconds=5)
_RETENTION = "retention"
LOOK_SECONDS = 1.0
RETENTION_BEGINS = timedelta(minutes=5)
KEPT_EVERY = timedelta(seconds=0.25)
LONGEST_REST = 0.02


class EmbeddedClock:
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
    ) -> None:
        """alive: called by the dispatching thread at every turn, at least once a second unless a turn takes longer."""
        self._engine = engine
        self._settings = settings
        self._mailer = mailer
        self._spool = Spool(settings.spool)
        self._now = now
        self._alive = alive
        self._monotonic = monotonic
        self._most_calls = max(min(CALLS_EACH * settings.engine_threads, MOST_CALLS), settings.engine_threads)
        self._lease = uuid.uuid4().hex
        self._limits = runs.Limits()
        self._pool = ThreadPoolExecutor(self._most_calls, thread_name_prefix="call")
        self._tools = runs.Tools(
            clients=clients,
            rows=lambda merchant_id, is_test: MerchantRows(engine, merchant_id, now, is_test),
            now=now,
            jitter=lambda: random.uniform(-0.2, 0.2),  # noqa: S311 - spreads retries, guards nothing
        )
        self._kept_at = datetime.min.replace(tzinfo=UTC)
        # By run: when its call began.
        self._under_way: dict[int, float] = {}
        # Held from a claim until what was claimed stands in `_under_way`.
        self._claiming = threading.Lock()
        self._came_back: deque[runs.Performed] = deque()
        self._unwritten: deque[runs.Performed] = deque()
        self._look = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Tells the dispatcher that there is something to do."""
        self._look.set()

    def stop(self) -> None:
        """Claims nothing more; `run` returns once what is under way has been settled."""
        self._stopping.set()
        self._look.set()

    def run(self) -> None:
        """Dispatches until stop() is called. A call takes 30 s at the most, so it ends soon after."""
        upkeep.recover_runs(self._engine, self._now(), only_lease=self._lease)
        upkeep.mend_due_times(self._engine, self._now())
        scheduler = self._scheduler()
        scheduler.start()
        ahead, back = self._ahead(), timedelta(0)
        try:
            while not (self._stopping.is_set() and len(self._under_way) == len(self._unwritten)):
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
                # SQLite's lock is nobody's turn: who waits for it looks now and then whether it is free. So it is left
                # to the receiver for as long as it was held here; what comes meanwhile shares the next commit.
                self._stopping.wait(min(self._monotonic() - begun, LONGEST_REST))
        finally:
            scheduler.shutdown(wait=False)
            self._pool.shutdown(wait=False, cancel_futures=True)

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

    def try_unwritten(self) -> None:
        """Lets results that the database refused be written in the next turn."""
        while self._unwritten:
            self._came_back.append(self._unwritten.popleft())
        self.wake()

    def turn(self) -> int:
        """One look: settles, fans out, claims and starts what is due; the number of runs started."""
        now = self._now()
        returned = list(self._came_back)
        free = self._free(returned)
        if not returned and not self._has_work(now):
            return 0
        with self._claiming:
            with transaction(self._engine) as session:
                runs.settle(session, returned, now=now)
                fanned_out = runs.fan_out(session, now=now, limit=FAN_OUT_BATCH)
                self._make_kept_runs(session, now)
                claimed = self._claim(session, now, free) if free else []
            # Only a commit takes them off the list: a turn that fails is tried again with all of them.
            for performed in returned:
                self._is_settled(performed)
            for each in claimed:
                self._under_way[each.run_id] = self._monotonic()
                self._pool.submit(self._perform, each)
        if fanned_out == FAN_OUT_BATCH or (returned and claimed):
            self._look.set()
        return len(claimed)

    def _claim(self, session: Session, now: datetime, free: int) -> list[runs.Claimed]:
        return runs.claim(
            session, now=now, lease=self._lease, limits=self._limits, limit=free, limit_each=self._most_calls // 2
        )

    def _free(self, returned: Sequence[runs.Performed]) -> int:
        """How many calls may begin now."""
        if self._stopping.is_set():
            return 0
        back = {performed.claimed.run_id for performed in returned}
        began = [at for run_id, at in self._under_way.items() if run_id not in back]
        quick = sum(self._monotonic() - at < QUICK_SECONDS for at in began)
        return min(self._settings.engine_threads - quick, self._most_calls - len(began))

    def _make_kept_runs(self, session: Session, now: datetime) -> None:
        """What was kept has waited: a small part of it four times a second leaves the database to what comes in."""
        # Whichever way: the time of day can be set back.
        if abs(now - self._kept_at) >= KEPT_EVERY:
            self._kept_at = now
            runs.make_kept_runs(session, now=now)

    def _turn_safely(self) -> None:
        try:
            self.turn()
        except UNAVAILABLE as error:
            logger.warning("the engine has to wait: the database cannot be written (%s)", type(error).__name__)
        except Exception:
            logger.exception("a turn of the engine failed; it is tried again, result by result")
            self._settle_apart()

    def _is_settled(self, performed: runs.Performed) -> None:
        self._came_back.popleft()
        self._under_way.pop(performed.claimed.run_id, None)
        if performed.rest_until and performed.claimed.connection_id is not None:
            self._limits.rest(performed.claimed.connection_id, performed.rest_until)

    def _settle_apart(self) -> None:
        """Settles one by one, so that a result that cannot be written does not hold up the others.

        It is kept and tried again later. Its run stays under way until then: nobody repeats what was done.
        """
        for performed in list(self._came_back):
            self._alive()
            try:
                self._settle_somehow(performed)
            except UNAVAILABLE:
                return
            except Exception:
                logger.exception("what came of run %d cannot be written: it is kept", performed.claimed.run_id)
                self._unwritten.append(self._came_back.popleft())
            else:
                self._is_settled(performed)
                self._look.set()

    def _settle_somehow(self, performed: runs.Performed) -> None:
        """With as much of the result as the database takes. Raises what the barest form of it meets."""
        *richer, barest = runs.ever_barer(performed)
        for each in richer:
            try:
                self._settle(each)
            except UNAVAILABLE:
                raise
            except Exception:
                logger.exception("the result of run %d cannot be written: trying less of it", each.claimed.run_id)
            else:
                return
        self._settle(barest)

    def _settle(self, performed: runs.Performed) -> None:
        with transaction(self._engine) as session:
            runs.settle(session, [performed], now=self._now())

    def _has_work(self, now: datetime) -> bool:
        with reading(self._engine) as session:
            return runs.has_work(session, now) or runs.has_kept_work(session)

    def _perform(self, claimed: runs.Claimed) -> None:
        self._came_back.append(runs.perform(claimed, self._tools))
        self._look.set()

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
