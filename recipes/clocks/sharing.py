"""The dispatching thread of one worker among several on PostgreSQL.

Workers wait for each other nowhere: what another is just fanning out or claiming is passed over, and looked at again a
moment later.
"""

import logging
import random
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlmodel import Session

from recipes import engine as runs
from recipes.clocks.database_time import DatabaseTime, time_of
from recipes.clocks.dispatching import FAN_OUT_BATCH, LOOK_SECONDS, Dispatcher
from recipes.db import UNAVAILABLE, Lock, one_at_a_time, transaction, whichever_is_free
from recipes.settings import Settings

logger = logging.getLogger(__name__)

# Until what another worker was at is looked at again.
PASSED_OVER_SECONDS = 0.02
# Between two turns, for as long as the first took: what comes back meanwhile shares a commit.
LONGEST_REST = 0.03
# Looked at in one turn. Each takes a lock, and PostgreSQL has room for some thousands in all.
MOST_CONNECTIONS = 200
UNWRITTEN_SECONDS = 60.0
# How often a stopping worker tries to write what it has done.
LAST_TRIES = 20


class SharedDispatcher(Dispatcher):
    """Takes the turns of one worker. Any number may be at work on a database.

    lease_seconds: for how long nobody else takes a run that this worker has and does not show life for.
    renewal_seconds: how often it does; a quarter of that if not given. time: what it goes by, of the database and,
    between two looks, of `now`.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clients: runs.performing.Clients,
        *,
        lease_seconds: float,
        renewal_seconds: float | None = None,
        now: Callable[[], datetime],
        alive: Callable[[], None],
        works: Callable[[], None] = lambda: None,
        database_time: Callable[[Connection], datetime] = time_of,
    ) -> None:
        self.time = DatabaseTime(engine, now, database_time)
        super().__init__(engine, settings, clients, self.time, alive, works=works)
        self._lease_time = timedelta(seconds=lease_seconds)
        self.renewal_seconds = lease_seconds / 4 if renewal_seconds is None else renewal_seconds
        self._told = datetime.min.replace(tzinfo=UTC)
        self._passed_over = False
        self._there_since = self._monotonic()
        self._ended = threading.Event()

    def wake_at(self, at: datetime) -> None:
        """Tells the dispatching thread that there is something to do, as it is `at` by now whatever its clock says."""
        self._told = max(self._told, at)
        self.wake()

    def has_been_there_for(self) -> timedelta:
        """For how long the database has been there without a break, as far as this worker knows."""
        return timedelta(seconds=self._monotonic() - self._there_since)

    def turn(self) -> int:
        """One look, in the database's time."""
        self.time.keep()
        return super().turn()

    def run(self) -> None:
        """Takes turns until it is told to stop and what is under way has been settled."""
        keeper = threading.Thread(target=self._extend_leases, name="leases", daemon=True)
        keeper.start()
        refused, try_unwritten_at = 0, self._monotonic() + UNWRITTEN_SECONDS
        while not self._is_done() and refused < LAST_TRIES:
            # By itself, too: for what a worker that died was on its way to, or has no room for.
            self._look.wait(PASSED_OVER_SECONDS if self._passed_over else LOOK_SECONDS)
            self._look.clear()
            self._alive()
            begun = self._monotonic()
            if begun >= try_unwritten_at:
                try_unwritten_at = begun + UNWRITTEN_SECONDS
                self.try_unwritten()
            if self._turn_safely():
                refused = 0
                self._stopping.wait(min(self._monotonic() - begun, LONGEST_REST))
            else:
                self._there_since = self._monotonic()
                # Those who stop have no time without end: another worker finds these runs once their lease is over.
                refused += self._stopping.is_set()
                self._ended.wait(LOOK_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._ended.set()
        keeper.join()

    def _has_work(self, now: datetime) -> bool:
        return True  # the turn's own look takes no lock that another would wait for, and not many more statements

    def _settle(self, session: Session, returned: Sequence[runs.Performed], now: datetime) -> None:
        resting = [
            (performed.claimed.connection_id, performed.rest_until)
            for performed in returned
            if performed.rest_until and performed.claimed.connection_id is not None
        ]
        if resting:
            # First of all: who waits for these locks holds nothing yet that another could wait for.
            one_at_a_time(session, Lock.CLAIM, {connection_id for connection_id, _ in resting})
            limits = runs.SharedLimits(session)
            for connection_id, until in resting:
                limits.rest(connection_id, until)
        runs.settle(session, returned, now=max(now, self._told))

    def _make_runs(self, session: Session, now: datetime) -> bool:
        self._passed_over = False
        has_events, has_kept_work = runs.has_events(session), False
        if self._looks_for_kept(now):
            has_kept_work = runs.has_kept_work(session)
            self._kept_at = self._kept_at if has_kept_work else now
        has_waits_over = runs.has_waits_over(session, now)
        if not (has_events or has_kept_work or has_waits_over):
            return False
        if not whichever_is_free(session, Lock.FAN_OUT):
            self._passed_over = True
            return False
        more_waits = has_waits_over and runs.end_waits(session, now=now, limit=FAN_OUT_BATCH) == FAN_OUT_BATCH
        if has_kept_work:
            self._make_kept_runs(session, now)
        more_events = has_events and runs.fan_out(session, now=now, limit=FAN_OUT_BATCH) == FAN_OUT_BATCH
        return more_waits or more_events

    def _claim(self, session: Session, now: datetime, free: int, still_out: Collection[int]) -> Sequence[runs.Claimed]:
        now = max(now, self._told)
        due = runs.connections_due(session, now)
        if not due:
            return []
        if len(due) > MOST_CONNECTIONS:
            due = random.sample(due, MOST_CONNECTIONS)  # so that none is always among the last
            self._passed_over = True
        ours = whichever_is_free(session, Lock.CLAIM, {connection_id or 0 for connection_id, _ in due})
        self._passed_over = self._passed_over or len(ours) < len(due)
        return runs.claim(
            session,
            now=now,
            lease=self._lease,
            limits=runs.SharedLimits(session, ours - {0}),
            limit=free,
            limit_each=self._most_calls // 2,
            due=[each for each in due if (each[0] or 0) in ours],
            lease_time=self._lease_time,
            still_out=still_out,
        )

    def _holds(self, claimed: runs.Claimed) -> bool:
        """Asks the database: the clocks of a machine that stood still, or was moved, may not have noticed.

        Another may have had the run meanwhile, and what came after it: this would be done twice, or in the wrong order.
        """
        try:
            with self._engine.connect() as connection, Session(connection) as session:
                until = self.time.look(connection) + self._lease_time / 4
                return runs.is_held(session, claimed, until)
        except UNAVAILABLE as error:
            logger.warning("run %d is not begun: whose it is cannot be told (%s)", claimed.run_id, type(error).__name__)
            return False

    def _extend_leases(self) -> None:
        """Shows life for what is under way. Once the database is there again, at once: others wait a little for it."""
        pause = usual = self.renewal_seconds
        while not self._ended.wait(pause):
            pause = usual
            under_way = list(self._under_way)
            if not under_way:
                continue
            try:
                with transaction(self._engine) as session:
                    now = self.time.look(session.connection())
                    runs.extend_leases(session, lease=self._lease, runs=under_way, now=now, lease_time=self._lease_time)
            except UNAVAILABLE as error:
                pause = min(usual, LOOK_SECONDS)
                logger.warning("leases could not be extended (%s)", type(error).__name__)
            except Exception:
                # Without it every run under way would be taken for lost, for as long as this worker lives.
                pause = min(usual, LOOK_SECONDS)
                logger.exception("leases could not be extended; it is tried again")
