"""The time that workers share: the database's, though their machines' clocks are wrong or are set."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from recipes.clocks.database_time import ASK_SECONDS, DatabaseTime
from tests.conftest import NOW


class Machine:
    """Its clock is wrong by `wrong`; the database's is right. Both pass alike."""

    def __init__(self, engine: Engine) -> None:
        self.passed, self.asked = 0.0, 0
        self.wrong = timedelta(hours=-1)
        self.time = DatabaseTime(engine, lambda: self.right() + self.wrong, self._ask, lambda: self.passed)

    def right(self) -> datetime:
        """What the database says."""
        return NOW + timedelta(seconds=self.passed)

    def _ask(self, _: Connection) -> datetime:
        self.asked += 1
        return self.right()


@pytest.fixture
def machine(engine: Engine) -> Machine:
    """One that is an hour behind."""
    return Machine(engine)


def test_it_is_the_databases_and_asked_for_now_and_then(machine: Machine) -> None:
    """Not at every turn: between two looks this machine's clock, which drifts by little, tells how much has passed."""
    for passed, asked in ((0.0, 1), (ASK_SECONDS / 2, 1), (ASK_SECONDS, 2), (ASK_SECONDS * 1.5, 2)):
        machine.passed = passed
        machine.time.keep()
        assert (machine.time(), machine.asked) == (machine.right(), asked)


def test_a_clock_that_is_set_is_noticed_at_once(machine: Machine) -> None:
    """As is one that went on while the machine slept."""
    machine.time.keep()
    machine.wrong = timedelta(minutes=1)
    machine.time.keep()
    assert machine.time() == machine.right()
