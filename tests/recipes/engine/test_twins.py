"""Two events that tell of one thing."""

from typing import Any

import pytest

from recipes.events import event_type
from recipes.models import RunState
from tests.conftest import both_databases
from tests.recipes.engine.kitchen import Kitchen, step

pytestmark = both_databases

TWINS = ("invoice.paid", "invoice.payment_succeeded")


@pytest.mark.parametrize("arrives", TWINS)
def test_recipes_for_either_name_run_on_whichever_came_first(kitchen: Kitchen, arrives: str) -> None:
    """Of the two only the first is kept: a recipe for the other would wait for ever."""
    ledger = kitchen.connect("ledger")
    for event in TWINS:
        columns: dict[str, Any] = {"Total": "{{ invoice.total }}"}
        kitchen.recipe(event, step("ledger", "put_row", ledger, table="Renewals", key=event, columns=columns))
    known = event_type(arrives)
    assert known is not None
    kitchen.deliver(arrives, known.sample())
    kitchen.work()
    assert [run.state for run in kitchen.runs()] == [RunState.SUCCEEDED] * 2
