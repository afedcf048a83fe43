"""What gives or takes after a wait is looked at when it is due, as for a late retry: who left, who came back."""

from typing import Any

import pytest

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import RunState
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

TAGS = "POST /lists/{list_id}/members/{subscriber_hash}/tags"


def _tag(action: str, connection: int, wait: str = "") -> dict[str, Any]:
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "tag": "customer"}
    return step("mailchimp", action, connection, **fields) | ({"wait": wait} if wait else {})


def _statuses(mailchimp: Vendor) -> list[str]:
    return [call.get_json()["tags"][0]["status"] for call in mailchimp.seen(TAGS)]


def _refund(number: int = 1) -> dict[str, Any]:
    refund = {"id": f"re_{number}", "amount": 64.99, "status": "succeeded"}
    return {"order": {"id": f"order_{number}"}, "refund": refund, "customer": {"email": "jane@example.com"}}


def test_what_was_refunded_meanwhile_is_not_given(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """As for a late retry, whatever lane the refund's own run was on; the merchant can insist."""
    kitchen.recipe("order.completed", _tag("add_tag", kitchen.connect("mailchimp"), "3 days"))
    kitchen.recipe("order.refunded", _tag("remove_tag", kitchen.connect_as("mailchimp", "the second")))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(days=1)
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive"]
    kitchen.later(days=2)
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive"]
    assert kitchen.runs()[0].outcome == "This order was refunded on 25 July. Nothing was given."
    with pytest.raises(runs.UndoneSince):
        kitchen.run_again(1)
    kitchen.run_again(1, all_the_same=True)
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive", "active"]


def test_a_clock_that_was_set_back_lets_nobody_back_in(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """A step that waits has waited, though by the clock its event came just now."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe("order.completed", _tag("add_tag", connection, "1 minute"))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(minutes=1)
    with transaction(kitchen.engine) as session:
        assert runs.end_waits(session, now=kitchen.now) == 1
    kitchen.now = NOW
    with transaction(kitchen.engine) as session:
        runs.mend_due_times(session, now=kitchen.now)
    kitchen.work()
    assert (_statuses(mailchimp), kitchen.states()) == ([], [RunState.SKIPPED])


def test_what_is_taken_late_is_not_taken_from_who_came_back(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Three days after a refund the tag comes off, unless another order gives it by then."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe("order.completed", _tag("add_tag", connection))
    kitchen.recipe("order.refunded", _tag("remove_tag", connection, "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(days=1)
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    kitchen.later(days=2)
    kitchen.work()
    assert _statuses(mailchimp) == ["active", "active"]
    assert [run.state for run in kitchen.runs() if run.event_id == 2] == [RunState.SKIPPED]


def test_what_is_given_only_later_keeps_nothing_for_the_buyer(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The refund takes what its own order gave; the other order gives it when its wait is over."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe("order.completed", _tag("add_tag", connection, "3 days"))
    kitchen.recipe("order.refunded", _tag("remove_tag", connection))
    kitchen.deliver("order.completed", order(1))
    kitchen.later(days=3)
    kitchen.work()
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    kitchen.later(days=1)
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(days=3)
    kitchen.work()
    assert _statuses(mailchimp) == ["active", "inactive", "active"]


def test_an_engine_that_dies_before_it_settles_makes_it_wait_all_the_same(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """What was done before the wait is told by the row; the wait begins when that ended."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe("order.completed", _tag("add_tag", connection), _tag("remove_tag", connection, "1 day"))
    kitchen.deliver("order.completed", order(1))
    for each in kitchen.claim():
        kitchen.perform(each)
    kitchen.lease = "second-engine"
    assert kitchen.recover(only_lease=kitchen.lease) == 1
    kitchen.work()
    assert (_statuses(mailchimp), kitchen.states()) == (["active", "active"], [RunState.DELAYED])
    assert kitchen.recover(only_lease="third-engine") == 0
    kitchen.later(days=1)
    kitchen.work()
    assert (_statuses(mailchimp)[2:], kitchen.states()) == (["inactive"], [RunState.SUCCEEDED])
