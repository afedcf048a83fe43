"""Running again what has been undone since: only when the merchant says so a second time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import Endpoint, Event, Merchant, Mode, Origin, Run, RunState, Standing
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.events.deliveries import sample

pytestmark = both_databases

CREATED, DELETED, UPDATED = (f"customer.subscription.{word}" for word in ("created", "deleted", "updated"))
ROW = "and write over what a row of a table says by now."


def _rows(kitchen: Kitchen, *events: str) -> None:
    """For each event a recipe that works without any service."""
    ledger = kitchen.connect("ledger")
    for event in events:
        kitchen.recipe(event, step("ledger", "put_row", ledger, table="T", key=event, columns={"Who": "x"}))


def _refund(amount: float = 64.99) -> dict[str, Any]:
    refund = {"id": "re_1", "amount": amount, "status": "succeeded"}
    return {"order": {"id": "order_1"}, "refund": refund, "customer": {"email": "jane@example.com"}}


def _another(subscription: str) -> dict[str, Any]:
    """The same buyer's next subscription."""
    body = sample(CREATED)
    holder = {**body["subscriptionCustomer"], "id": subscription}
    return {**body, "subscriptionCustomer": holder, "subscriptionCustomerId": subscription}


def _endpoints(kitchen: Kitchen) -> tuple[int, int]:
    """The store's two sides."""
    with transaction(kitchen.engine) as session:
        test = Endpoint(merchant_id=kitchen.endpoint.merchant_id, mode=Mode.TEST, token="t", created_at=kitchen.now)
        session.add(test)
    assert kitchen.endpoint.id is not None
    assert test.id is not None
    return kitchen.endpoint.id, test.id


def _change(kitchen: Kitchen, event_id: int, standing: Standing, endpoint_id: int) -> None:
    with transaction(kitchen.engine) as session:
        event = session.get_one(Event, event_id)
        event.standing, event.endpoint_id = standing, endpoint_id


def _asks(kitchen: Kitchen, run_id: int = 1) -> str:
    """What is said instead of running it again; nothing is queued."""
    before = kitchen.states()
    with pytest.raises(runs.UndoneSince) as caught:
        kitchen.run_again(run_id)
    assert kitchen.states() == before
    return str(caught.value)


def test_a_grant_of_a_subscription_that_ended_needs_a_second_word(kitchen: Kitchen) -> None:
    """The sentence says when, as the store's clock has it; with the word it runs."""
    with transaction(kitchen.engine) as session:
        session.get_one(Merchant, kitchen.endpoint.merchant_id).time_zone = "Pacific/Auckland"
    _rows(kitchen, CREATED)
    kitchen.deliver(CREATED, sample(CREATED))
    kitchen.work()
    kitchen.run_again(1)
    kitchen.later(days=1, hours=1)
    kitchen.deliver(DELETED, sample(DELETED))
    kitchen.work()
    assert _asks(kitchen) == f"This subscription ended on 26 July. Running this again may give access back, {ROW}"
    kitchen.later(days=200)
    assert "on 26 July 2026." in _asks(kitchen)
    kitchen.run_again(1, all_the_same=True)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED] * 3


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.UNSURE, RunState.SKIPPED, RunState.CANCELLED])
def test_a_grant_that_never_happened_is_asked_about_as_well(kitchen: Kitchen, state: RunState) -> None:
    """Resuming lets a buyer in just as repeating does."""
    _rows(kitchen, "order.completed")
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    with transaction(kitchen.engine) as session:
        session.get_one(Run, 1).state = state
    kitchen.deliver("order.refunded", _refund())
    assert _asks(kitchen) == f"This order was refunded on 24 July. Running this again may give access back, {ROW}"


def test_a_refund_in_part_leaves_the_sale_as_it_is(kitchen: Kitchen) -> None:
    """The buyer keeps the product."""
    _rows(kitchen, "order.completed")
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", _refund(5.50))
    kitchen.work()
    kitchen.run_again(1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED] * 2


def test_a_revocation_after_the_subscription_came_to_life_again_needs_a_second_word(kitchen: Kitchen) -> None:
    """And the grant none any more."""
    _rows(kitchen, CREATED, DELETED)
    kitchen.deliver(CREATED, sample(CREATED))
    kitchen.deliver(DELETED, sample(DELETED))
    kitchen.later(days=1)
    kitchen.deliver(UPDATED, sample(UPDATED))
    kitchen.work()
    kitchen.run_again(1)
    assert _asks(kitchen, 2) == f"This subscription goes on again. Running this again may take access away, {ROW}"


def test_a_revocation_after_the_buyer_subscribed_again_needs_a_second_word(kitchen: Kitchen) -> None:
    """Under another subscription, until that has ended, too."""
    _rows(kitchen, DELETED)
    kitchen.deliver(DELETED, sample(DELETED))
    kitchen.work()
    kitchen.later(days=3)
    kitchen.deliver(CREATED, _another("second"))
    assert _asks(kitchen) == f"This buyer subscribed again on 27 July. Running this again may take access away, {ROW}"
    ended = sample(DELETED)
    holder = {**ended["subscriptionCustomer"], "id": "second"}
    kitchen.deliver(DELETED, {**ended, "subscriptionCustomer": holder, "subscriptionCustomerId": "second"})
    kitchen.run_again(1)


def test_a_revocation_after_the_buyer_bought_again_needs_a_second_word(kitchen: Kitchen) -> None:
    """Another's purchase does not count, nor an earlier one, one on the store's other side, one that may be forged."""
    _rows(kitchen, "order.refunded")
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(days=1)
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.deliver("order.completed", order(3), occurred_at=kitchen.now - timedelta(days=2))
    kitchen.deliver("order.completed", order(4))
    live, test = _endpoints(kitchen)
    for standing, side in ((Standing.SUSPICIOUS, live), (Standing.READY, test)):
        _change(kitchen, 5, standing, side)
        kitchen.run_again(1)
        kitchen.work()
    _change(kitchen, 5, Standing.READY, live)
    assert _asks(kitchen) == f"This buyer bought again on 25 July. Running this again may take access away, {ROW}"


def test_samples_and_real_events_do_not_undo_each_other(kitchen: Kitchen) -> None:
    """A sample with a real order's id says nothing of that order; among themselves samples are like the real ones."""
    _rows(kitchen, "order.completed", "order.refunded")
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(1), origin=Origin.SAMPLE)
    kitchen.deliver("order.refunded", _refund(), origin=Origin.SAMPLE)
    kitchen.work()
    kitchen.run_again(1)
    assert "This order was refunded" in _asks(kitchen, 2)
    kitchen.later(days=1)
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    kitchen.run_again(3)
    kitchen.work()
    kitchen.deliver("order.completed", order(2), origin=Origin.SAMPLE)
    assert "This buyer bought again" in _asks(kitchen, 3)


def test_taking_a_step_as_done_does_not_let_the_next_one_give_access_back(kitchen: Kitchen, slack: Vendor) -> None:
    """The merchant's word is about the step that is past; what follows would come after the refund."""
    message = step("slack", "post_message", kitchen.connect("slack"), channel="C0123456789", text="Sold")
    row = step("ledger", "put_row", kitchen.connect("ledger"), table="T", key="k", columns={"Who": "x"})
    kitchen.recipe("order.completed", message, row)
    slack.answers["POST /chat.postMessage"] = slack.drop
    slack.answers["POST /conversations.history"] = answer({"ok": False, "error": "missing_scope"})
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(seconds=5)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE]
    kitchen.deliver("order.refunded", _refund())
    with pytest.raises(runs.UndoneSince):
        kitchen.mark_done(1)
    assert kitchen.states() == [RunState.UNSURE]
    kitchen.mark_done(1, all_the_same=True)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]


@pytest.mark.parametrize(("event_id", "sentence"), [(1, "Only an event that was kept"), (2, "Only"), (9, "no such")])
def test_only_what_was_kept_as_late_can_be_run_by_hand(kitchen: Kitchen, event_id: int, sentence: str) -> None:
    """Not what ran already, and not what contradicts itself: that may be forged."""
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", {**order(2), "event": "order.completed"})
    with pytest.raises(runs.RunRequestError, match=sentence):
        kitchen.run_late(event_id)


def test_a_late_start_is_run_once_however_often_it_is_asked_for(kitchen: Kitchen) -> None:
    """Then it is an event like any other, and running it again asks."""
    _rows(kitchen, CREATED)
    kitchen.later(minutes=1)
    kitchen.deliver(DELETED, sample(DELETED))
    kitchen.deliver(CREATED, sample(CREATED), occurred_at=kitchen.now.replace(minute=0))
    kitchen.work()
    assert kitchen.runs() == []
    kitchen.run_late(2)
    kitchen.work()
    with pytest.raises(runs.RunRequestError):
        kitchen.run_late(2)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert "This subscription ended" in _asks(kitchen)


def test_another_stores_late_event_is_not_run(kitchen: Kitchen) -> None:
    """The merchant is an argument of every finder."""
    kitchen.deliver("order.refunded", _refund())
    kitchen.deliver("order.completed", order(1))
    with transaction(kitchen.engine) as session, pytest.raises(runs.RunRequestError, match="no such event"):
        runs.run_late(session, kitchen.endpoint.merchant_id + 1, 2, now=kitchen.now)


@pytest.mark.parametrize("word", ["updated", "resumed", "pause", "trial_will_end"])
def test_what_came_late_from_before_the_end_changes_nothing(kitchen: Kitchen, word: str) -> None:
    """It neither runs, nor brings the subscription back to life, after which a late start would let the buyer in."""
    late = f"customer.subscription.{word}"
    _rows(kitchen, CREATED, DELETED, late)
    kitchen.deliver(DELETED, sample(DELETED))
    kitchen.deliver(late, sample(late), occurred_at=kitchen.now - timedelta(minutes=1))
    kitchen.deliver(CREATED, sample(CREATED), occurred_at=kitchen.now - timedelta(minutes=2))
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    with transaction(kitchen.engine) as session:
        standings = list(session.exec(select(Event.standing).order_by(col(Event.id))))
    assert standings == [Standing.READY, Standing.SUSPICIOUS, Standing.SUSPICIOUS]
