"""What several engines on one database write of the same runs and connections, at once or by clocks that differ."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, update

from recipes import engine as runs
from recipes.db import open_database, transaction
from recipes.models import Run, RunState
from recipes.settings import Settings
from tests.conftest import NOW
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


@pytest.fixture
def impatient(settings: Settings) -> Iterator[Engine]:
    """The database to one who does not wait."""
    engine = open_database(settings.database, wait_seconds=0.05)
    yield engine
    engine.dispose()


def test_limits_follow_a_clock_that_was_set_back(engine: Engine, kitchen: Kitchen) -> None:
    """What it said of a later time holds for a minute, and a rest for an hour; not until that time comes."""
    connection, later = kitchen.connect("slack"), NOW + timedelta(hours=12)
    with transaction(engine) as session:
        runs.SharedLimits(session).called(connection, "slack", 50, later)
        runs.SharedLimits(session).rest(connection, later)
    room = []
    for minutes in (0, 59, 60):
        with transaction(engine) as session:
            limits = runs.SharedLimits(session)
            room.append(limits.room(connection, "slack", {}, NOW + timedelta(minutes=minutes)))
    assert room == [0, 0, 4]


def test_who_settles_and_who_shows_life_do_not_wait_for_each_other(
    kitchen: Kitchen, engine: Engine, impatient: Engine
) -> None:
    """Each with some of the runs and in want of the others, both would stand still until PostgreSQL ends one."""
    fields = {"table": "Orders", "key": "{{ order.id }}", "columns": {"Amount": "1"}}
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger"), **fields))
    for number in range(2):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    performed = [kitchen.perform(each) for each in kitchen.claim()]
    numbers = [each.claimed.run_id for each in performed]
    with transaction(engine) as session:
        runs.settle(session, performed[1:], now=NOW)
        with transaction(impatient) as other:
            runs.extend_leases(other, lease=kitchen.lease, runs=numbers, now=NOW + timedelta(minutes=1))
        runs.settle(session, performed[:1], now=NOW)
    assert kitchen.states() == [RunState.SUCCEEDED] * 2


def test_a_time_that_was_given_meanwhile_is_not_mended(engine: Engine, impatient: Engine, kitchen: Kitchen) -> None:
    """What mends the times has read the old one; the run was tried, and waits for its next try now."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(limit=0)
    looked: list[bool] = []
    meanwhile = NOW + timedelta(minutes=5)

    def settle(*_: object) -> None:
        if not looked:
            looked.append(True)
            with transaction(impatient) as other:
                other.execute(update(Run).values(state=RunState.WAITING, due_at=meanwhile, attempt=1))

    with transaction(engine) as session:
        event.listen(session.connection(), "after_cursor_execute", settle)
        assert runs.mend_due_times(session, now=NOW - timedelta(days=1)) == 1
    assert [(run.state, run.due_at) for run in kitchen.runs()] == [(RunState.WAITING, meanwhile)]
