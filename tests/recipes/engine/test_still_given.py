"""What a buyer has for more than one reason is not taken when one of them ends."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from recipes import engine as runs
from recipes import ledger
from recipes.db import reading, transaction
from recipes.models import Connection, IdentityMemory, Origin, Recipe, RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.events.deliveries import sample

pytestmark = both_databases

SALE, REFUND = "order.completed", "order.refunded"
CREATED, DELETED, PAUSED = (f"customer.subscription.{word}" for word in ("created", "deleted", "pause"))
TAGS = "POST /lists/{list_id}/members/{subscriber_hash}/tags"
PUT = "PUT /lists/{list_id}/members/{subscriber_hash}"
ALSO = "The buyer also has a subscription, since 24 July, that gives the same."


def tag(action: str, connection: int | None, name: str = "member") -> dict[str, Any]:
    """A step that gives or takes a tag."""
    return step("mailchimp", action, connection, audience="a1", email="{{ buyer.email }}", tag=name)


def only(offer: str) -> dict[str, Any]:
    """The conditions of a recipe for that offer alone."""
    return {"conditions": [{"fact": "subscription.offer_id", "operator": "is", "value": offer}]}


def deliver(kitchen: Kitchen, event: str, number: str, offer: str = "o1", **more: Any) -> None:
    """An event of the one buyer's subscription of that number."""
    body = sample(event)
    holder = {**body["subscriptionCustomer"], "id": number}
    body |= {"subscriptionCustomer": holder, "subscriptionCustomerId": number, "subscription": {"id": offer}}
    kitchen.deliver(event, body, **more)


def _refund(number: int, amount: float = 64.99) -> dict[str, Any]:
    return {**order(number), "refund": {"id": f"re_{number}", "amount": amount, "status": "succeeded"}}


def tags(mailchimp: Vendor) -> list[tuple[str, bool]]:
    """The tags set and taken off, in order."""
    said = [call.get_json()["tags"][0] for call in mailchimp.seen(TAGS)]
    return [(each["name"], each["status"] == "active") for each in said]


def last(kitchen: Kitchen) -> tuple[str, str]:
    """What came of the latest run."""
    run = kitchen.runs()[-1]
    return run.state, run.outcome


@pytest.fixture
def connection(kitchen: Kitchen) -> int:
    """A recipe that tags whoever subscribes, whatever the plan, and one that takes the tag off at an end."""
    number = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", number))
    kitchen.recipe(DELETED, tag("remove_tag", number))
    return number


@pytest.mark.usefixtures("connection")
def test_a_change_of_plan_takes_nothing(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The new subscription starts, then the old one's end comes, with nothing waiting. The new one's end takes it."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    kitchen.later(days=1)
    deliver(kitchen, CREATED, "new", "another offer")
    kitchen.work()
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    said = "The buyer also has a subscription, since 25 July, that gives the same. Nothing was taken."
    assert last(kitchen) == (RunState.SKIPPED, said)
    with reading(kitchen.engine) as session:
        counted = ledger.counters(session, kitchen.endpoint.merchant_id, kitchen.now)
    assert (counted.left_out, counted.skipped) == (1, 0)
    assert tags(mailchimp) == [("member", True)] * 2
    deliver(kitchen, DELETED, "new", "another offer")
    kitchen.work()
    assert tags(mailchimp)[2:] == [("member", False)]


@pytest.mark.usefixtures("connection")
def test_an_end_that_comes_late_takes_nothing_from_who_came_back(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """It happened before the new start, and came after it."""
    deliver(kitchen, CREATED, "old")
    kitchen.later(days=3)
    ended_at = kitchen.now - timedelta(days=1)
    deliver(kitchen, CREATED, "new")
    kitchen.work()
    kitchen.later(hours=1)
    deliver(kitchen, DELETED, "old", occurred_at=ended_at)
    kitchen.work()
    assert last(kitchen)[0] == RunState.SKIPPED
    assert tags(mailchimp) == [("member", True)] * 2


def test_run_again_asks_about_a_late_end(kitchen: Kitchen) -> None:
    """Also where nothing was skipped: that the start came in first does not make it the earlier one."""
    ledger = kitchen.connect("ledger")
    kitchen.recipe(DELETED, step("ledger", "put_row", ledger, table="T", key="k", columns={"Who": "x"}))
    kitchen.later(days=3)
    deliver(kitchen, CREATED, "new")
    deliver(kitchen, DELETED, "old", occurred_at=kitchen.now - timedelta(days=1))
    kitchen.work()
    with pytest.raises(runs.UndoneSince, match="subscribed again on 27 July"):
        kitchen.run_again(1)


def test_of_two_plans_the_end_of_one_takes_its_own(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """What they give differs by the recipes' choices, or by their conditions."""
    number = kitchen.connect("mailchimp")
    for offer in ("o1", "o2"):
        kitchen.recipe(CREATED, tag("add_tag", number, offer), **only(offer))
        kitchen.recipe(DELETED, tag("remove_tag", number, offer), **only(offer))
        deliver(kitchen, CREATED, offer, offer)
    kitchen.work()
    deliver(kitchen, DELETED, "o1", "o1")
    kitchen.work()
    assert tags(mailchimp)[2:] == [("o1", False)]


def test_a_refund_of_one_of_two_orders_takes_nothing(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The second one's does. What adds a buyer with tags gives each of them."""
    number = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "tags": "news, Member"}
    kitchen.recipe(SALE, step("mailchimp", "add_subscriber", number, **fields))
    kitchen.recipe(REFUND, tag("remove_tag", number))
    kitchen.deliver(SALE, order(1))
    kitchen.deliver(SALE, order(2))
    kitchen.deliver(SALE, order(3, "joe@example.com"))
    kitchen.work()
    kitchen.deliver(REFUND, _refund(1))
    kitchen.work()
    said = "The buyer also has an order, of 24 July, that gives the same. Nothing was taken."
    assert last(kitchen) == (RunState.SKIPPED, said)
    kitchen.deliver(REFUND, _refund(2))
    kitchen.work()
    assert ("member", False) in tags(mailchimp)


def test_what_no_recipe_gave_is_taken(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The merchant gives by hand, or on another connection: then only the merchant knows."""
    number, other = kitchen.connect("mailchimp"), kitchen.connect("mailchimp")
    kitchen.recipe(DELETED, tag("remove_tag", number))
    kitchen.recipe(CREATED, tag("add_tag", other))
    kitchen.recipe(CREATED, tag("add_tag", number), **only("another offer"))
    deliver(kitchen, CREATED, "old")
    deliver(kitchen, CREATED, "new")
    kitchen.work()
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert tags(mailchimp) == [("member", True), ("member", True), ("member", False)]


def test_what_was_given_on_a_connection_that_is_gone_counts(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """The merchant made a new one to the same account."""
    deliver(kitchen, CREATED, "old")
    deliver(kitchen, CREATED, "new")
    kitchen.work()
    with transaction(kitchen.engine) as session:
        for recipe in session.exec(select(Recipe)):
            recipe.enabled = False
        session.delete(session.get_one(Connection, connection))
    kitchen.recipe(DELETED, tag("remove_tag", kitchen.connect("mailchimp")))
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert ("member", False) not in tags(mailchimp)


@pytest.mark.usefixtures("connection")
def test_a_sample_gives_no_real_buyer_anything(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Nor does another buyer's subscription."""
    deliver(kitchen, CREATED, "old")
    deliver(kitchen, CREATED, "tried", origin=Origin.SAMPLE)
    kitchen.deliver(CREATED, sample(CREATED, customer={"email": "joe@example.com"}))
    kitchen.work()
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert tags(mailchimp)[-1] == ("member", False)


@pytest.mark.parametrize("failure", [answer({"title": "Too Many Requests"}, 429), answer({"title": "No"}, 400)])
@pytest.mark.usefixtures("connection")
def test_what_is_to_be_given_or_failed_counts(kitchen: Kitchen, mailchimp: Vendor, failure: Any) -> None:
    """The buyer pays for it: that a service was busy, or refused, is no reason to take it."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    mailchimp.script.append(failure)
    deliver(kitchen, CREATED, "new")
    kitchen.turn()
    kitchen.later(minutes=1)
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert ("member", False) not in tags(mailchimp)


def test_what_the_merchant_cancelled_gives_nothing(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """It was never given."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="…", now=kitchen.now)
    deliver(kitchen, CREATED, "new")
    kitchen.work()
    kitchen.cancel(2)
    kitchen.release(connection)
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert tags(mailchimp)[-1] == ("member", False)


def test_what_gave_and_would_have_taken_since_counts_no_more(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """A paused subscription takes the tag, but for another; when that ends, the paused one is no reason to keep it."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection))
    deliver(kitchen, CREATED, "going on")
    deliver(kitchen, CREATED, "paused")
    kitchen.work()
    deliver(kitchen, PAUSED, "paused")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, f"{ALSO} Nothing was taken.")
    deliver(kitchen, DELETED, "going on")
    kitchen.work()
    assert tags(mailchimp)[-1] == ("member", False)


def test_a_tag_that_a_sale_takes_off_is_taken_off(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Who buys is no free user any more, though the free order is not refunded: nothing ends, the merchant means it."""
    number = kitchen.connect("mailchimp")
    free = {"conditions": [{"fact": "order.id", "operator": "is", "value": "order_1"}]}
    paid = {"conditions": [{"fact": "order.id", "operator": "is", "value": "order_2"}]}
    kitchen.recipe(SALE, tag("add_tag", number, "free"), **free)
    kitchen.recipe(SALE, tag("remove_tag", number, "free"), **paid)
    kitchen.deliver(SALE, order(1))
    kitchen.deliver(SALE, order(2))
    kitchen.work()
    assert tags(mailchimp) == [("free", True), ("free", False)]


@pytest.mark.usefixtures("connection")
def test_the_merchants_word_takes_it(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Run again asks first, and a retry does not ask once more."""
    deliver(kitchen, CREATED, "old")
    deliver(kitchen, CREATED, "new")
    kitchen.work()
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    with pytest.raises(runs.UndoneSince, match=f"{ALSO} Running this again may take access away."):
        kitchen.run_again(3)
    kitchen.run_again(3, all_the_same=True)
    mailchimp.script.append(answer({"title": "Too Many Requests"}, 429))
    kitchen.work()
    kitchen.later(minutes=1)
    kitchen.work()
    assert last(kitchen)[0] == RunState.SUCCEEDED
    assert tags(mailchimp)[-1] == ("member", False)


@pytest.mark.usefixtures("connection")
def test_what_cannot_be_told_is_left_to_the_merchant(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Nothing is taken by mistake, and nobody else's run waits."""
    deliver(kitchen, CREATED, "old")
    deliver(kitchen, CREATED, "new")
    kitchen.work()
    with transaction(kitchen.engine) as session:
        memory = session.exec(select(IdentityMemory).where(col(IdentityMemory.about).contains("new"))).one()
        memory.memory = {"status": []}
    deliver(kitchen, DELETED, "old")
    kitchen.deliver(CREATED, sample(CREATED, customer={"email": "joe@example.com"}))
    kitchen.work()
    assert kitchen.states()[-2:] == [RunState.UNSURE, RunState.SUCCEEDED]
    assert "so nothing was taken" in kitchen.runs()[2].outcome
    with pytest.raises(runs.UndoneSince, match="We cannot tell what else the buyer has"):
        kitchen.run_again(3)
    kitchen.run_again(3, all_the_same=True)
    kitchen.work()
    assert tags(mailchimp)[-1] == ("member", False)


def test_an_end_that_waited_takes_nothing_once_the_subscription_goes_on(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """It came back to life under its own number while the connection was paused."""
    deliver(kitchen, CREATED, "one")
    kitchen.work()
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="…", now=kitchen.now)
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    kitchen.later(hours=1)
    deliver(kitchen, "customer.subscription.resumed", "one")
    kitchen.release(connection)
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, "This subscription goes on again. Nothing was taken.")
    assert tags(mailchimp) == [("member", True)]
