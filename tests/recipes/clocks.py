"""Either clock at work in threads: one on a SQLite file, or two workers on PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Protocol

from sqlalchemy import Engine

from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import is_postgresql
from recipes.mail import Mailer
from recipes.settings import Settings


class Clock(Protocol):
    """What the tests need of one."""

    def run(self) -> None:
        """Works until it is told to stop."""

    def stop(self) -> None:
        """Tells it so, from another thread."""


class Clocks:
    """The clock, or the workers, at work in threads. Time can be moved on."""

    def __init__(self, engine: Engine, settings: Settings, clients: ClientCache) -> None:
        self._moved = timedelta(0)
        self._clocks = [self._clock(engine, settings, clients) for _ in range(2 if is_postgresql(engine) else 1)]
        self._threads = [threading.Thread(target=clock.run) for clock in self._clocks]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Has them finish what is under way, and waits for it."""
        self.ask_to_stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(20.0)
            assert not thread.is_alive()

    def ask_to_stop(self) -> None:
        """Does not wait."""
        for clock in self._clocks:
            clock.stop()

    def at_work(self) -> int:
        """How many have not ended yet."""
        return sum(thread.is_alive() for thread in self._threads)

    def now(self) -> datetime:
        """The time that the clocks go by."""
        return datetime.now(UTC) + self._moved

    def later(self, **time: float) -> None:
        """Moves it on, and has them look what is due by now."""
        self._moved += timedelta(**time)
        self.wake()

    def wake(self) -> None:
        """What a receiver does after a delivery; workers learn of it through the database."""
        for clock in self._clocks:
            if isinstance(clock, EmbeddedClock):
                clock.wake()

    def _clock(self, engine: Engine, settings: Settings, clients: ClientCache) -> Clock:
        if not is_postgresql(engine):
            return EmbeddedClock(engine, settings, clients, Mailer(settings), now=self.now)
        distributed = import_module("recipes.clocks.distributed")  # not there without the extra
        every_second = "* * * * * *"
        rhythm = distributed.Rhythm(lease=8.0, heartbeat=1.0, poll=0.2, recovery=every_second, upkeep=every_second)
        clock: Clock = distributed.DistributedClock(
            engine, settings, clients, Mailer(settings), rhythm, now=self.now, database_time=lambda _: self.now()
        )
        return clock
