"""The engine asks in few words: SQLite keeps every statement ready, on each connection, in memory."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event

from tests.recipes.engine.kitchen import Kitchen, order, step


@pytest.fixture
def asked(engine: Engine) -> Iterator[set[str]]:
    """The text of everything that was asked and changed."""
    texts: set[str] = set()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        texts.add(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield texts
    event.remove(engine, "before_cursor_execute", note)


def _turn(kitchen: Kitchen, first: int, count: int) -> None:
    for number in range(first, first + count):
        kitchen.deliver("order.completed", order(number, f"buyer-{number}@example.com"))
    assert len(kitchen.turn()) == count


def test_a_turn_asks_the_same_however_many_runs_it_is_about(kitchen: Kitchen, asked: set[str]) -> None:
    """Else each connection would come to keep a statement for every number of runs, some megabytes of them."""
    columns = {"A": "1"}
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger"), key="k", columns=columns))
    _turn(kitchen, first=1, count=2)
    asked.clear()
    _turn(kitchen, first=3, count=2)
    before = set(asked)
    _turn(kitchen, first=5, count=3)
    _turn(kitchen, first=8, count=4)
    assert asked - before == set()
