"""What both clocks do: turns that settle, fan out and claim, many runs to a commit, and a pool of threads that call."""

import logging
import random
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session

from integrations.deadline import TIMEOUTS
from recipes import engine as runs
from recipes.db import UNAVAILABLE, reading, transaction
from recipes.rows import MerchantRows
from recipes.settings import Settings

logger = logging.getLogger(__name__)

FAN_OUT_BATCH = 100
# A call that takes longer makes room for another: a service that hangs costs a thread, and no quick one its turn.
QUICK_SECONDS = 1.0
# Calls at once, slow ones and all, for each of engine_threads, and in all; half of them may be one merchant's.
CALLS_EACH, MOST_CALLS = 8, 512
LOOK_SECONDS = 1.0
KEPT_EVERY = timedelta(seconds=0.25)


class Dispatcher(ABC):
    """Performs what is due. One thread takes the turns; nobody else settles or claims under its name."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clients: runs.performing.Clients,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        alive: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        works: Callable[[], None] = lambda: None,
    ) -> None:
        """alive: called before every turn, at least once a second unless one takes longer.

        works: called after each that succeeds. Who cannot work, as while the database is away, is alive all the same.
        """
        self._engine = engine
        self._now = now
        self._alive = alive
        self._works = works
        self._monotonic = monotonic
        self._threads = settings.engine_threads
        self._most_calls = max(min(CALLS_EACH * self._threads, MOST_CALLS), self._threads)
        self._lease = uuid.uuid4().hex
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
        # Under way, and no thread has begun with it yet: whoever takes it off has it.
        self._to_begin: dict[int, runs.Claimed] = {}
        self._not_begun: list[int] = []
        self._no_threads_until = 0.0
        # Held from a claim until what was claimed stands in `_under_way`.
        self._claiming = threading.Lock()
        self._came_back: deque[runs.Performed] = deque()
        self._unwritten: deque[runs.Performed] = deque()
        self._look = threading.Event()
        self._stopping = threading.Event()
        self._has_said = False

    def wake(self) -> None:
        """Tells the dispatching thread that there is something to do."""
        self._look.set()

    def stop(self) -> None:
        """Claims nothing more; it ends once what is under way has been settled. From any thread."""
        self._stopping.set()
        self._look.set()

    def try_unwritten(self) -> None:
        """Lets results that the database refused be written in the next turn."""
        while self._unwritten:
            self._came_back.append(self._unwritten.popleft())
        self.wake()

    def turn(self) -> int:
        """One look: settles, fans out, claims and starts what is due; the number of runs started."""
        now = self._now()
        self._give_back(now)
        returned = list(self._came_back)
        free = self._free(returned)
        if not returned and not self._has_work(now):
            return 0
        with self._claiming:
            with transaction(self._engine) as session:
                self._settle(session, returned, now)
                more = self._make_runs(session, now)
                still_out = self._under_way.keys() - {performed.claimed.run_id for performed in returned}
                claimed = self._claim(session, now, free, still_out) if free else []
            # Only a commit takes them off the list: a turn that fails is tried again with all of them.
            for performed in returned:
                self._is_settled(performed)
            for each in claimed:
                self._under_way[each.run_id] = self._monotonic()
                self._to_begin[each.run_id] = each
        self._begin(claimed)
        if more or self._not_begun or (returned and claimed):
            self._look.set()
        return len(claimed) - len(self._not_begun)

    @abstractmethod
    def _settle(self, session: Session, returned: Sequence[runs.Performed], now: datetime) -> None:
        """Writes what has come back."""

    @abstractmethod
    def _make_runs(self, session: Session, now: datetime) -> bool:
        """Ends waits, makes runs of new events and of what was kept; whether there is more of this at once."""

    @abstractmethod
    def _claim(self, session: Session, now: datetime, free: int, still_out: Collection[int]) -> Sequence[runs.Claimed]:
        """Takes up to `free` runs, none that this one has a call out for."""

    def _is_done(self) -> bool:
        """Whether it was told to stop, and nothing is under way any more that could be settled."""
        if not self._stopping.is_set():
            return False
        self._say_what_is_left()
        return len(self._under_way) == len(self._unwritten)

    def _say_what_is_left(self) -> None:
        """Once: whoever told it to stop sees for what it waits, and for how long."""
        left = len(self._under_way) - len(self._unwritten) - len(self._came_back)
        if self._has_said or left <= 0:
            return
        self._has_said = True
        seconds = max(self._under_way.values()) + TIMEOUTS.total - self._monotonic()
        calls, until = "1 call" if left == 1 else f"{left} calls", self._now() + timedelta(seconds=max(seconds, 0))
        logger.info(
            "stopping: %s under way may finish first, until %s at the latest", calls, f"{until.astimezone():%X}"
        )

    def _turn_safely(self) -> bool:
        """Takes a turn; whether the database was there."""
        try:
            self.turn()
        except UNAVAILABLE as error:
            logger.warning("the engine has to wait: the database cannot be written (%s)", type(error).__name__)
            return False
        except Exception:
            logger.exception("a turn of the engine failed; it is tried again, result by result")
            self._settle_apart()
        else:
            self._works()
        return True

    def _free(self, returned: Sequence[runs.Performed]) -> int:
        """How many calls may begin now."""
        if self._stopping.is_set() or self._monotonic() < self._no_threads_until:
            return 0
        back = {performed.claimed.run_id for performed in returned}
        began = [at for run_id, at in self._under_way.items() if run_id not in back]
        quick = sum(self._monotonic() - at < QUICK_SECONDS for at in began)
        return min(self._threads - quick, self._most_calls - len(began))

    def _has_work(self, now: datetime) -> bool:
        with reading(self._engine) as session:
            return runs.has_work(session, now) or runs.has_kept_work(session)

    def _make_kept_runs(self, session: Session, now: datetime) -> None:
        """What was kept has waited: a small part of it four times a second leaves the database to what comes in."""
        if self._looks_for_kept(now):
            self._kept_at = now
            runs.make_kept_runs(session, now=now)

    def _looks_for_kept(self, now: datetime) -> bool:
        # Whichever way: the time of day can be set back.
        return abs(now - self._kept_at) >= KEPT_EVERY

    def _begin(self, claimed: Sequence[runs.Claimed]) -> None:
        """Hands the runs to the pool. Those for which the system has no thread are given back in the next turn."""
        for place, each in enumerate(claimed):
            try:
                self._pool.submit(self._perform_first, each.run_id)
            except RuntimeError as error:
                rest = [later.run_id for later in claimed[place:]]
                # The pool keeps even what it had no thread for, and one of its threads may have begun it by now.
                self._not_begun = [run_id for run_id in rest if self._to_begin.pop(run_id, None)]
                self._no_threads_until = self._monotonic() + LOOK_SECONDS
                logger.warning("%d runs go back to the queue: %s", len(self._not_begun), error)
                break

    def _perform_first(self, run_id: int) -> None:
        claimed = self._to_begin.pop(run_id, None)
        if claimed is not None:
            self._perform(claimed)

    def _give_back(self, now: datetime) -> None:
        if not self._not_begun:
            return
        with transaction(self._engine) as session:
            runs.give_back(session, lease=self._lease, runs=self._not_begun, now=now)
        for run_id in self._not_begun:
            self._under_way.pop(run_id, None)
        self._not_begun = []

    def _perform(self, claimed: runs.Claimed) -> None:
        tools = replace(self._tools, holds=lambda: self._holds(claimed))
        self._came_back.append(runs.perform(claimed, tools))
        self._look.set()

    def _holds(self, claimed: runs.Claimed) -> bool:
        """Whether a run is still this one's, right before its call. Nothing takes it from one that is alone."""
        return True

    def _is_settled(self, performed: runs.Performed) -> None:
        self._came_back.popleft()
        self._under_way.pop(performed.claimed.run_id, None)

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
                self._settle_one(each)
            except UNAVAILABLE:
                raise
            except Exception:
                logger.exception("the result of run %d cannot be written: trying less of it", each.claimed.run_id)
            else:
                return
        self._settle_one(barest)

    def _settle_one(self, performed: runs.Performed) -> None:
        with transaction(self._engine) as session:
            self._settle(session, [performed], self._now())
