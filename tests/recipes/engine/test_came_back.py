"""What the buyer did meanwhile counts, whatever came in last: who resumed or paid keeps, who left stays out."""

from datetime import timedelta

import pytest

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen
from tests.recipes.engine.test_still_given import CREATED, DELETED, PAUSED, deliver, last, tag, tags

pytestmark = both_databases

RESUMED, FAILED, PAID = "customer.subscription.resumed", "invoice.payment_failed", "invoice.payment_succeeded"
REFUSED = answer({"title": "No"}, 400)
COMES_BACK = pytest.mark.parametrize(("event", "back"), [(PAUSED, RESUMED), (FAILED, PAID)])


def _hold(kitchen: Kitchen, connection: int) -> None:
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="…", now=kitchen.now)


@pytest.mark.parametrize("event", [FAILED, "invoice.created", "invoice.upcoming"])
def test_dunning_lets_nobody_back_in(kitchen: Kitchen, mailchimp: Vendor, event: str) -> None:
    """The last failed payment comes just after the end that it is the reason for; the grant still waits."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", connection))
    _hold(kitchen, connection)
    deliver(kitchen, CREATED, "one")
    kitchen.later(hours=1)
    deliver(kitchen, DELETED, "one")
    deliver(kitchen, event, "one")
    kitchen.release(connection)
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, "This subscription ended on 24 July. Nothing was given.")
    assert tags(mailchimp) == []


def test_a_clock_that_is_set_back_lets_nobody_in(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The grant's event lies in the future then: it waited all the same."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", connection))
    kitchen.later(hours=2)
    _hold(kitchen, connection)
    deliver(kitchen, CREATED, "one")
    kitchen.work()
    deliver(kitchen, DELETED, "one")
    kitchen.later(hours=-1)
    kitchen.release(connection)
    kitchen.work()
    assert last(kitchen)[0] == RunState.SKIPPED
    assert tags(mailchimp) == []


@COMES_BACK
def test_run_again_asks_before_it_takes_from_who_came_back(
    kitchen: Kitchen, mailchimp: Vendor, event: str, back: str
) -> None:
    """The removal failed then, and the buyer has resumed, or paid."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(event, tag("remove_tag", connection))
    deliver(kitchen, CREATED, "one")
    mailchimp.script.append(REFUSED)
    deliver(kitchen, event, "one")
    kitchen.work()
    kitchen.run_again(1)
    mailchimp.script.append(REFUSED)
    kitchen.work()
    kitchen.later(days=1)
    deliver(kitchen, back, "one")
    with pytest.raises(runs.UndoneSince, match="on 25 July"):
        kitchen.run_again(1)
    kitchen.run_again(1, all_the_same=True)
    kitchen.work()
    assert last(kitchen)[0] == RunState.SUCCEEDED


@COMES_BACK
def test_what_came_late_takes_nothing_from_who_came_back(
    kitchen: Kitchen, mailchimp: Vendor, event: str, back: str
) -> None:
    """It happened before the buyer resumed, or paid. The next one takes."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(event, tag("remove_tag", connection))
    deliver(kitchen, CREATED, "one")
    kitchen.later(hours=3)
    deliver(kitchen, back, "one", occurred_at=kitchen.now - timedelta(hours=1))
    deliver(kitchen, event, "one", occurred_at=kitchen.now - timedelta(hours=2))
    kitchen.work()
    assert last(kitchen)[0] == RunState.SKIPPED
    kitchen.later(days=1)
    deliver(kitchen, event, "one")
    kitchen.work()
    assert tags(mailchimp) == [("member", False)]
