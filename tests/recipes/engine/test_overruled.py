"""A step that had to wait, after a later event of the same subscription did the contrary by the merchant's recipes."""

from typing import Any

import pytest

from recipes import engine as runs
from recipes.models import RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, step
from tests.recipes.engine.test_delayed_gifts import _statuses, _tag
from tests.recipes.events.deliveries import sample

pytestmark = both_databases

CREATED, UPDATED, PAUSED = (f"customer.subscription.{word}" for word in ("created", "updated", "pause"))
FAILED, DELETED = "invoice.payment_failed", "customer.subscription.deleted"


def _tell(kitchen: Kitchen, event: str, status: str = "active", subscription: str = "sub-1") -> None:
    body: dict[str, Any] = sample(event, customer={"email": "ada@example.com"}, subscriptionCustomerId=subscription)
    body["subscriptionCustomer"] = {**body["subscriptionCustomer"], "id": subscription, "status": status}
    kitchen.deliver(event, body, occurred_at=kitchen.now)
    kitchen.work()


@pytest.mark.parametrize("wait", ["", "3 days"])
@pytest.mark.parametrize(("event", "status"), [(PAUSED, "paused"), (FAILED, "past_due"), (UPDATED, "past_due")])
def test_a_gift_that_waited_does_not_come_after_what_took_it(
    kitchen: Kitchen, mailchimp: Vendor, event: str, status: str, wait: str
) -> None:
    """Though a pause ends nothing: in the events' order it is taken in the end."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, _tag("add_tag", connection, wait))
    kitchen.recipe(event, _tag("remove_tag", connection))
    _tell(kitchen, CREATED)
    kitchen.later(days=1)
    _tell(kitchen, event, status)
    kitchen.later(days=3)
    kitchen.work()
    assert _statuses(mailchimp)[-1] == "inactive"
    if wait:
        first, _ = kitchen.runs()
        assert first.state == RunState.SKIPPED
        assert first.outcome == "This was taken from the buyer on 25 July. Nothing was given."


def test_the_merchant_can_insist_on_what_was_left_out(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Asked about first, as if it had been undone; else it would be left out again and again."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, _tag("add_tag", connection, "3 days"))
    kitchen.recipe(PAUSED, _tag("remove_tag", connection))
    _tell(kitchen, CREATED)
    kitchen.later(days=1)
    _tell(kitchen, PAUSED, "paused")
    kitchen.later(days=3)
    kitchen.work()
    first = kitchen.runs()[0].id
    with pytest.raises(runs.UndoneSince, match=r"taken from the buyer on 25 July\. .* may give access back\."):
        kitchen.run_again(first)
    kitchen.run_again(first, all_the_same=True)
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive", "active"]


def test_a_gift_that_waited_is_given_where_it_was_given_back(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The last word counts; and another subscription's pause says nothing of this one's."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, _tag("add_tag", connection, "3 days"))
    kitchen.recipe(PAUSED, _tag("remove_tag", connection))
    kitchen.recipe("customer.subscription.resumed", _tag("add_tag", connection))
    _tell(kitchen, CREATED)
    kitchen.later(hours=1)
    _tell(kitchen, PAUSED, "paused")
    kitchen.later(hours=1)
    _tell(kitchen, "customer.subscription.resumed")
    kitchen.later(hours=1)
    _tell(kitchen, PAUSED, "paused", "sub-2")
    kitchen.later(days=4)
    kitchen.work()
    assert _statuses(mailchimp)[-1] == "active"
    assert kitchen.runs()[0].state == RunState.SUCCEEDED


@pytest.mark.parametrize("wait", ["", "3 days"])
def test_a_taking_that_waited_does_not_come_after_what_gave_it_anew(
    kitchen: Kitchen, mailchimp: Vendor, wait: str
) -> None:
    """Who was overdue for a day keeps what the next payment gave back."""
    connection = kitchen.connect("mailchimp")
    for status, made in (("past_due", _tag("remove_tag", connection, wait)), ("active", _tag("add_tag", connection))):
        row = {"fact": "subscription.status", "operator": "is", "value": status}
        kitchen.recipe(UPDATED, made, conditions=[row])
    for status in ("active", "past_due", "active"):
        _tell(kitchen, UPDATED, status)
        kitchen.later(days=1)
    kitchen.later(days=3)
    kitchen.work()
    assert _statuses(mailchimp)[-1] == "active"
    assert (
        "The buyer was given this since, on 26 July. Nothing was taken." in [run.outcome for run in kitchen.runs()]
        or not wait
    )


@pytest.mark.parametrize("event", [PAUSED, DELETED])
def test_a_second_step_does_not_come_after_what_took_it(
    kitchen: Kitchen, mailchimp: Vendor, slack: Vendor, event: str
) -> None:
    """It had to wait for the first one's next try, on another lane than what takes."""
    connection = kitchen.connect("mailchimp")
    message = step("slack", "post_message", kitchen.connect("slack"), channel="C1", text="x")
    kitchen.recipe(CREATED, message, _tag("add_tag", connection))
    kitchen.recipe(event, _tag("remove_tag", connection))
    slack.script.append(answer({"ok": False, "error": "ratelimited"}, 429))
    _tell(kitchen, CREATED)
    kitchen.later(seconds=2)
    _tell(kitchen, event, "paused")
    kitchen.later(hours=3)
    kitchen.work()
    assert _statuses(mailchimp)[-1] == "inactive"


def test_what_is_not_taken_yet_counts_for_nothing(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """It comes after the gift, as it should; were that left out, and the taking cancelled, the buyer had nothing."""
    connection = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, _tag("add_tag", connection, "1 hour"))
    kitchen.recipe(PAUSED, _tag("remove_tag", connection, "3 days"))
    _tell(kitchen, CREATED)
    _tell(kitchen, PAUSED, "paused")
    kitchen.later(hours=2)
    kitchen.work()
    assert _statuses(mailchimp) == ["active"]
    kitchen.later(days=3)
    kitchen.work()
    assert _statuses(mailchimp) == ["active", "inactive"]
