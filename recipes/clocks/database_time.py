"""The time of day that all workers on a database go by: the database's, whatever their machines' clocks say.

Leases, limits and times that are due are written by one worker and judged by another.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, func, select

_TIME = select(func.clock_timestamp())
ASK_SECONDS = 10.0
# By so much this machine's clock was set, or the machine has slept.
_SET_SECONDS = 0.5


def time_of(connection: Connection) -> datetime:
    """PostgreSQL's time of day."""
    found: datetime = connection.execute(_TIME).scalar_one()
    return found.astimezone(UTC)


class DatabaseTime:
    """Told by this machine's clock, `now`, and how far the database's was ahead of it when last asked.

    ask: the database's time; another for tests, which move it by hand.
    """

    def __init__(
        self,
        engine: Engine,
        now: Callable[[], datetime],
        ask: Callable[[Connection], datetime] = time_of,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._now = now
        self._ask = ask
        self._monotonic = monotonic
        self._ahead = timedelta(0)
        # When it was asked, by both clocks of this machine: one that nobody sets, and the time of day.
        self._asked: tuple[float, datetime] | None = None

    def __call__(self) -> datetime:
        """The present time."""
        return self._now() + self._ahead

    def look(self, connection: Connection) -> datetime:
        """The present time, asked of the database."""
        before = self._now()
        told = self._ask(connection)
        after = self._now()
        self._ahead = told - before - (after - before) / 2
        self._asked = self._monotonic(), after
        return self()

    def keep(self) -> None:
        """Asks the database if that was a while ago, or this machine's clock was set since. From any thread."""
        if not self._is_known():
            with self._engine.connect() as connection:
                self.look(connection)

    def _is_known(self) -> bool:
        if self._asked is None:
            return False
        at, by_day = self._asked
        passed = self._monotonic() - at
        return passed < ASK_SECONDS and abs((self._now() - by_day).total_seconds() - passed) < _SET_SECONDS
