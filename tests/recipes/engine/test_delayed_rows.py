"""A row that is written after a wait does not write over what a later event wrote meanwhile."""

from typing import Any

import pytest
from sqlmodel import col, select

from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import IdentityMemory, LedgerRow, RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.engine.test_came_back import FAILED, PAID, RESUMED
from tests.recipes.engine.test_still_given import PAUSED, deliver

pytestmark = both_databases

JANE = {"email": "jane@example.com"}
REFUND = {
    "order": {"id": "order_1"},
    "refund": {"id": "re_1", "amount": 64.99, "status": "succeeded"},
    "customer": JANE,
}


def _row(kitchen: Kitchen, key: str, status: str, wait: str = "") -> dict[str, Any]:
    fields = {"table": "Orders", "key": key, "columns": {"Status": status}}
    return step("ledger", "put_row", kitchen.connect_as("ledger", f"for {status}"), **fields) | (
        {"wait": wait} if wait else {}
    )


def _statuses(kitchen: Kitchen) -> list[str]:
    with reading(kitchen.engine) as session:
        return [row.columns["Status"] for row in session.exec(select(LedgerRow))]


def test_what_was_refunded_meanwhile_is_not_written_as_paid(kitchen: Kitchen) -> None:
    """It says why; the merchant can insist."""
    kitchen.recipe("order.completed", _row(kitchen, "{{ order.id }}", "paid", "3 days"))
    kitchen.recipe("order.refunded", _row(kitchen, "{{ order.id }}", "refunded"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(days=1)
    kitchen.deliver("order.refunded", REFUND)
    kitchen.work()
    kitchen.later(days=2)
    kitchen.work()
    assert _statuses(kitchen) == ["refunded"]
    assert kitchen.runs()[0].outcome == "This order was refunded on 25 July. Nothing was written."
    with pytest.raises(runs.UndoneSince):
        kitchen.run_again(1)
    kitchen.run_again(1, all_the_same=True)
    kitchen.work()
    assert _statuses(kitchen) == ["paid"]


def test_a_step_after_one_that_waited_comes_as_late(kitchen: Kitchen, slack: Vendor) -> None:
    """The message is sent, and only the row is left out."""
    message = step("slack", "post_message", kitchen.connect("slack"), channel="C1", text="x") | {"wait": "3 days"}
    kitchen.recipe("order.completed", message, _row(kitchen, "{{ order.id }}", "paid"))
    kitchen.recipe("order.refunded", _row(kitchen, "{{ order.id }}", "refunded"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("order.refunded", REFUND)
    kitchen.later(days=3)
    kitchen.work()
    assert (len(slack.seen("POST /chat.postMessage")), _statuses(kitchen)) == (1, ["refunded"])
    assert kitchen.states() == [RunState.SUCCEEDED] * 2


@pytest.mark.parametrize(("event", "back"), [(PAUSED, RESUMED), (FAILED, PAID)])
def test_who_came_back_is_not_written_as_gone(kitchen: Kitchen, event: str, back: str) -> None:
    """The other way round as well, for the same subscription."""
    kitchen.recipe(event, _row(kitchen, "{{ subscription.id }}", "gone", "3 days"))
    kitchen.recipe(back, _row(kitchen, "{{ subscription.id }}", "back"))
    deliver(kitchen, event, "one")
    kitchen.work()
    kitchen.later(days=1)
    deliver(kitchen, back, "one")
    kitchen.work()
    kitchen.later(days=2)
    kitchen.work()
    assert (_statuses(kitchen), kitchen.states()) == (["back"], [RunState.SKIPPED, RunState.SUCCEEDED])


def test_another_order_undoes_no_row_of_this_one(kitchen: Kitchen) -> None:
    """Who bought again is asked about before a refund runs again; its row is the refunded order's all the same."""
    kitchen.recipe("order.refunded", _row(kitchen, "{{ order.id }}", "refunded", "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", REFUND)
    kitchen.work()
    kitchen.later(days=1)
    kitchen.deliver("order.completed", order(2))
    kitchen.later(days=2)
    kitchen.work()
    assert _statuses(kitchen) == ["refunded"]


def test_a_row_that_cannot_be_told_to_stand_is_held(kitchen: Kitchen) -> None:
    """The merchant decides; other buyers' rows are written."""
    kitchen.recipe("order.completed", _row(kitchen, "{{ order.id }}", "paid", "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.work()
    kitchen.deliver("order.refunded", REFUND)
    with transaction(kitchen.engine) as session:
        memory = session.exec(select(IdentityMemory).where(col(IdentityMemory.about).contains("order_1"))).one()
        memory.memory = {**memory.memory, "refunded_at": "the other day"}
    kitchen.later(days=3)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE, RunState.SUCCEEDED]
    assert kitchen.runs()[0].outcome.startswith("We cannot tell whether this was undone since, so nothing was written.")
