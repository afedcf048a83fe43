"""The hot path: takes verified deliveries and answers once they are on disk.

One committing thread writes whatever is waiting in a single transaction (group commit) and wakes the waiting
requests. If the database cannot take a batch, the batch goes to the spool; `upkeep` brings it in later.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from recipes.db import transaction
from recipes.intake import add_counts
from recipes.spool import Delivery, Spool
from recipes.storing import LARGEST_BATCH, bring_in, is_about_the_database, store

logger = logging.getLogger(__name__)

REST_SECONDS = 1.0
FLUSH_SECONDS = 2.0
GATHER_SECONDS = 0.002
CATCH_UP = 5


class Receipt(StrEnum):
    """What became of a delivery. All three are on disk."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    SPOOLED = "spooled"


# By what store() says of a delivery; None: it is in the spool.
_RECEIPTS = {True: Receipt.STORED, False: Receipt.DUPLICATE, None: Receipt.SPOOLED}


# By endpoint and reason: how many, the first time and the last.
_Counted = dict[tuple[int, str], tuple[int, datetime, datetime]]


class CannotAccept(Exception):
    """Neither the database nor the spool could take the delivery: it must not be answered 2xx."""


class _Waiting:
    """A request's place in the queue; `done` is released once `receipt` is set."""

    __slots__ = ("delivery", "done", "receipt")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.receipt: Receipt | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Inbox:
    """Accepts deliveries from many threads at once. `wake` tells the engine that there are new events."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        wake: Callable[[], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._wake = wake
        self._monotonic = monotonic
        self._queue: list[_Waiting] = []
        self._counted: _Counted = {}
        self._flush_at = 0.0
        self._rest_until = 0.0
        self._closing = False
        self._latest = 0  # how many the latest batch had
        self._has_spooled = True  # until looked: an earlier process may have left something
        self._something = threading.Condition()
        self._thread = threading.Thread(target=self._commit_until_closed, name="inbox", daemon=True)
        self._thread.start()

    def accept(self, delivery: Delivery) -> Receipt:
        """Waits until the delivery is on disk. Raises CannotAccept."""
        waiting = _Waiting(delivery)
        with self._something:
            if self._closing:
                raise CannotAccept("the service is stopping")
            self._queue.append(waiting)
            if len(self._queue) == 1:
                self._something.notify()
        waiting.done.acquire()
        if waiting.receipt is None:
            raise CannotAccept("neither the database nor the spool can be written")
        return waiting.receipt

    def count(self, endpoint_id: int, reason: str, now: datetime) -> None:
        """Counts a refused or odd delivery. Written within seconds, many at a time: refusals must cost us nothing."""
        with self._something:
            self._add(endpoint_id, reason, (1, now, now))
            self._something.notify()

    def _add(self, endpoint_id: int, reason: str, counted: tuple[int, datetime, datetime]) -> None:
        count, first_at, last_at = self._counted.get((endpoint_id, reason), (0, *counted[1:]))
        self._counted[endpoint_id, reason] = (
            count + counted[0],
            min(first_at, counted[1]),
            max(last_at, counted[2]),
        )

    def close(self) -> None:
        """Writes what is waiting and ends the thread. Later deliveries are not accepted."""
        with self._something:
            self._closing = True
            self._something.notify()
        self._thread.join()

    def _commit_until_closed(self) -> None:
        while True:
            with self._something:
                while not (self._queue or self._closing or self._flush_is_due()):
                    self._something.wait(FLUSH_SECONDS if self._counted else None)
            self._gather()
            batch = self._next(LARGEST_BATCH)
            if batch:
                self._commit(batch)
            self._latest = len(batch)
            with self._something:
                closing = self._closing and not self._queue
            if self._counted and (closing or self._flush_is_due()):
                self._flush_counts()
            if closing:
                return

    def _next(self, most: int) -> list[_Waiting]:
        with self._something:
            batch = self._queue[:most]
            del self._queue[:most]
        return batch

    def _gather(self) -> None:
        """In a burst, lets more come first: those who were just answered are about to send again.

        A commit takes as long for one as for twenty. Nobody waits here while deliveries come one by one.
        """
        if 2 * len(self._queue) < self._latest:
            time.sleep(GATHER_SECONDS)

    def _flush_is_due(self) -> bool:
        return bool(self._counted) and self._monotonic() >= self._flush_at

    def _commit(self, batch: list[_Waiting]) -> None:
        """Stores the batch, and what is added to it while the database is waited for."""
        try:
            self._store(batch)
        # Whatever goes wrong here, the requests must be woken: without a receipt they answer 503.
        except Exception:
            logger.exception("deliveries could not be stored anywhere: %d answered 503", len(batch))
        finally:
            for waiting in batch:
                waiting.done.release()
        self._wake()

    def _store(self, batch: list[_Waiting]) -> None:
        stored: Sequence[bool | None] | None = self._take(batch)
        if stored is None:
            deliveries = [waiting.delivery for waiting in batch]
            try:
                self._spool.write(deliveries)
            except OSError as error:
                if self._is_resting():
                    raise
                # The database would take them: only what is older has to come in first, all of it.
                logger.error("the spool cannot be written (%s)", error.strerror)
                bring_in(self._engine, self._spool)
                stored = store(self._engine, deliveries)
            else:
                self._has_spooled = True
                stored = [None] * len(batch)
        for waiting, is_new in zip(batch, stored, strict=True):
            waiting.receipt = _RECEIPTS[is_new]

    def _take(self, batch: list[_Waiting]) -> Sequence[bool] | None:
        """Puts them into the database: for each, whether it is new. None if they have to go to the spool."""
        if self._is_resting():
            return None

        def came_meanwhile() -> list[Delivery]:
            late = self._next(LARGEST_BATCH - len(batch))
            batch.extend(late)
            return [waiting.delivery for waiting in late]

        try:
            # What waits is older: stored after this batch, a start could run after its end.
            self._has_spooled = self._has_spooled and self._is_behind()
            if self._has_spooled:
                return None
            return store(self._engine, [waiting.delivery for waiting in batch], came_meanwhile)
        except SQLAlchemyError as error:
            # Resting keeps answers quick: the next batches do not each wait for a locked database again.
            self._rest_until = self._monotonic() + REST_SECONDS
            logger.error("the database cannot take deliveries (%s): spooling", _reason(error))
        except Exception:
            # Nobody else's delivery is refused for one that no database takes; from the spool it is set aside.
            logger.exception("a batch of %d cannot be stored: spooling", len(batch))
        return None

    def _is_resting(self) -> bool:
        return self._monotonic() < self._rest_until

    def _is_behind(self) -> bool:
        """Brings in a little of the spool; whether more waits. Only a little: requests wait for their answers here."""
        try:
            bring_in(self._engine, self._spool, most=CATCH_UP)
            return not self._spool.is_empty()
        except OSError as error:
            # A file that cannot be read is no reason to refuse what the database would take.
            logger.error("the spool cannot be brought in (%s)", error.strerror)
            return False

    def _flush_counts(self) -> None:
        self._flush_at = self._monotonic() + FLUSH_SECONDS
        with self._something:
            counted, self._counted = self._counted, {}
        try:
            self._write_counts(counted)
        except SQLAlchemyError as error:
            # Counts are for information: a locked database must not hold up deliveries for them. They are tried again.
            logger.warning("the counts of refused deliveries have to wait (%s)", type(error).__name__)
            with self._something:
                for (endpoint_id, reason), each in counted.items():
                    self._add(endpoint_id, reason, each)

    def _write_counts(self, counted: _Counted) -> None:
        """Takes what is done with out of `counted`. Raises SQLAlchemyError while the database cannot be written.

        Nothing else: it would end the thread, and no delivery would be stored any more.
        """
        parts = [dict(counted)]
        while parts:
            part = parts.pop()
            try:
                with transaction(self._engine) as session:
                    add_counts(session, part)
            except Exception as error:
                if is_about_the_database(error):
                    raise
                if len(part) > 1:
                    # One that is refused, such as an endpoint's that is gone, keeps no other out.
                    parts += [{place: each} for place, each in part.items()]
                    continue
                logger.exception("refused deliveries cannot be counted, by endpoint and reason: %s", list(part))
            for place in part:
                del counted[place]


def _reason(error: SQLAlchemyError) -> str:
    """Such as "database is locked": the database's own words, of which none are a delivery's."""
    return str(error.orig) if isinstance(error, DBAPIError) and is_about_the_database(error) else type(error).__name__
