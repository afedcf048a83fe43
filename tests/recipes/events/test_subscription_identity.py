"""A subscription's events: each pause, change and end counts, and a repeat of one does not."""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import NOW
from tests.recipes.events.deliveries import DAYS, HOURS, MINUTES, SUBSCRIBER, Books, sample, subscriber, variant

PAUSE, RESUMED, UPDATED = (f"customer.subscription.{word}" for word in ("pause", "resumed", "updated"))
CREATED, DELETED, PAID = "customer.subscription.created", "customer.subscription.deleted", "invoice.payment_succeeded"
TRIAL_ENDS = "customer.subscription.trial_will_end"
FAILED, INVOICE, UPCOMING = (f"invoice.{word}" for word in ("payment_failed", "created", "upcoming"))


def test_pausing_and_resuming_again_and_again_each_count() -> None:
    """Byte-identical pauses a few minutes apart are different pauses if the subscription resumed in between."""
    books = Books()
    assert books.takes(CREATED, sample(CREATED))
    for cycle in range(3):
        at = NOW + cycle * 11 * MINUTES
        assert books.takes(PAUSE, sample(PAUSE), at)
        assert books.takes(RESUMED, sample(RESUMED), at + 5 * MINUTES)


def test_a_second_word_of_the_same_pause_is_a_repeat() -> None:
    """Another body, the alias, hours later: the state has not moved."""
    books = Books()
    assert books.takes(PAUSE, sample(PAUSE))
    assert not books.takes(PAUSE, variant("customer.subscription.paused"), NOW + 5 * HOURS)
    assert not books.takes("customer.subscription.paused", sample(PAUSE, webhookId="other"), NOW + 23 * HOURS)


def test_a_pause_told_first_as_an_update_still_runs() -> None:
    """They are different triggers: recipes for a pause wait for the pause."""
    books = Books()
    assert books.takes(UPDATED, sample(UPDATED, subscriptionCustomer=subscriber("paused", paused=True)))
    assert books.takes(PAUSE, sample(PAUSE, subscriptionCustomer=subscriber("paused", paused=True)))
    assert not books.takes(PAUSE, sample(PAUSE, webhookId="other"), NOW + HOURS)


@pytest.mark.parametrize(("event", "lost"), [(PAUSE, RESUMED), (RESUMED, PAUSE)])
def test_a_lost_delivery_in_between_does_not_swallow_the_next(event: str, lost: str) -> None:
    """Pocketsflow never sends again: two pauses without a resumption in between are two, when days lie between them."""
    books = Books()
    assert books.takes(lost, sample(lost))
    assert books.takes(event, sample(event), NOW + 30 * DAYS)
    assert books.takes(event, sample(event), NOW + 60 * DAYS)


def test_a_pause_that_the_body_does_not_show_is_one_by_its_name() -> None:
    """A store that leaves the status active still pauses and resumes."""
    books, bare = Books(), {"subscriptionCustomer": {"id": "s1"}, "customer": {"email": "jane@example.com"}}
    assert books.takes(CREATED, bare)
    assert books.takes(PAUSE, bare, NOW + MINUTES)
    assert books.takes(RESUMED, bare, NOW + 2 * MINUTES)
    assert books.takes(PAUSE, bare, NOW + 15 * MINUTES)
    assert books.memories["subscription:s1"]["paused"] is True


def test_an_update_without_a_change_of_state_runs() -> None:
    """A new card shows in no state; only the same body within ten minutes is a repeat."""
    books = Books()
    assert books.takes(UPDATED, sample(UPDATED))
    assert not books.takes(UPDATED, sample(UPDATED), NOW + 9 * MINUTES)
    assert books.takes(UPDATED, sample(UPDATED, paymentMethod={"last4": "1881"}), NOW + 9 * MINUTES)
    assert books.takes(UPDATED, sample(UPDATED), NOW + 11 * MINUTES)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["revision"] == 1


def test_a_plan_changed_and_changed_back_is_two_updates() -> None:
    """The revision tells them apart."""
    books = Books()
    for number, offer in enumerate(("basic", "pro", "basic")):
        body = sample(UPDATED, subscription={"id": offer}, webhookId=str(number))
        assert books.takes(UPDATED, body)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["revision"] == 3


def test_the_end_of_a_subscription_counts_once_until_it_lives_again() -> None:
    """Whatever event shows that it does, for the one that told of it may be lost."""
    books = Books()
    assert books.takes(CREATED, sample(CREATED))
    assert books.takes(DELETED, sample(DELETED), NOW + DAYS)
    assert not books.takes(DELETED, sample(DELETED, webhookId="other"), NOW + 2 * DAYS)
    assert books.takes(PAID, sample(PAID), NOW + 30 * DAYS)
    assert books.takes(DELETED, sample(DELETED), NOW + 60 * DAYS)
    assert not books.takes(DELETED, sample(DELETED), NOW + 90 * DAYS)


def test_a_start_that_comes_again_after_the_end_lets_nobody_back_in() -> None:
    """A subscription starts once."""
    books = Books()
    assert books.takes(CREATED, sample(CREATED))
    assert books.takes(DELETED, sample(DELETED), NOW + DAYS)
    assert not books.takes(CREATED, sample(CREATED, webhookId="other"), NOW + 2 * DAYS)


def test_an_end_that_overtook_its_start_leaves_both() -> None:
    """Order is not promised."""
    books = Books()
    assert books.takes(DELETED, sample(DELETED))
    assert books.takes(CREATED, sample(CREATED), NOW + MINUTES)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["generation"] == 1


def test_what_is_remembered_stays_small() -> None:
    """However often a state changes: a handful of words per subscription."""
    books = Books()
    for number in range(50):
        status = ("active", "past_due")[number % 2]
        body = sample(UPDATED, subscriptionCustomer=subscriber(status), webhookId=str(number))
        assert books.takes(UPDATED, body)
    assert len(json.dumps(books.memories)) < 250


def test_who_ends_a_subscription_and_starts_another_at_once_is_let_in_again() -> None:
    """The same buyer, the same offer, within the hour: another subscription, by its own id."""
    books = Books()
    assert books.takes(CREATED, sample(CREATED))
    assert books.takes(DELETED, sample(DELETED))
    second = {"subscriptionCustomer": {**subscriber(), "id": "second"}, "subscriptionCustomerId": "second"}
    assert books.takes(CREATED, sample(CREATED, **second), NOW + 20 * MINUTES)


@pytest.mark.parametrize(
    "event", [CREATED, UPDATED, RESUMED, TRIAL_ENDS, PAID, "invoice.paid", FAILED, INVOICE, UPCOMING]
)
@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "incomplete", "paused", "new word"])
def test_what_goes_with_an_end_is_no_sign_of_life(event: str, status: str) -> None:
    """Dunning ends a subscription: the last failed payment and the end come close together, in whatever order."""
    books = Books()
    assert books.takes(DELETED, sample(DELETED))
    assert books.takes(event, sample(event, subscriptionCustomer=subscriber(status)), NOW + MINUTES)
    is_alive = status in ("active", "trialing") and event not in (FAILED, INVOICE, UPCOMING)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["ended"] is not is_alive


def test_a_body_that_names_no_status_is_no_sign_of_life() -> None:
    """A failed payment's body says active, too."""
    books = Books()
    assert books.takes(DELETED, sample(DELETED))
    assert books.takes(UPDATED, sample(UPDATED, subscriptionCustomer={"id": SUBSCRIBER, "active": True}, status=None))
    assert books.memories[f"subscription:{SUBSCRIBER}"]["ended"] is True


def _takes(books: Books, event: str, body: Any, occurred_at: datetime, at: datetime) -> bool:
    return books.takes(event, body, at, sent=str(round(occurred_at.timestamp() * 1000)))


@pytest.mark.parametrize(
    ("first", "then", "name", "is_so"),
    [(RESUMED, PAUSE, "paused", False), (PAUSE, RESUMED, "paused", True), (PAID, FAILED, "unpaid", False)],
)
def test_what_happened_last_is_remembered_whatever_came_in_last(first: str, then: str, name: str, is_so: bool) -> None:
    """What came late is an event of its own, and keeps no later one from being one."""
    books, at = Books(), NOW + 2 * HOURS
    assert books.takes(CREATED, sample(CREATED))
    assert _takes(books, first, sample(first), NOW + HOURS, at)
    late = sample(then, webhookId="late")
    assert _takes(books, then, late, NOW + 30 * MINUTES, at + MINUTES)
    assert not _takes(books, then, {**late, "webhookId": "again"}, NOW + 30 * MINUTES, at + 2 * MINUTES)
    assert books.memories[f"subscription:{SUBSCRIBER}"][name] is is_so
    assert books.takes(then, sample(then), at + 2 * HOURS)
    assert books.memories[f"subscription:{SUBSCRIBER}"][name] is not is_so


def test_a_clock_that_was_ahead_makes_nothing_late() -> None:
    """What was noted then, for want of a time of its own, lies in the future."""
    books = Books()
    assert books.takes(RESUMED, sample(RESUMED), NOW + 30 * DAYS)
    assert books.takes(PAUSE, sample(PAUSE), NOW)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["paused"] is True


def test_a_start_that_came_after_its_first_payment_is_remembered() -> None:
    """A payment alone says nothing of the state."""
    books = Books()
    assert books.takes(PAID, sample(PAID))
    assert books.takes(CREATED, sample(CREATED), NOW + MINUTES)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["status"] == "active"


def test_a_payment_whose_word_was_lost_shows_in_the_status() -> None:
    """Pocketsflow never sends again."""
    books = Books()
    assert books.takes(UPDATED, sample(UPDATED, subscriptionCustomer=subscriber("past_due")))
    assert books.takes(FAILED, sample(FAILED))
    assert books.memories[f"subscription:{SUBSCRIBER}"]["unpaid"] is True
    assert books.takes(UPDATED, sample(UPDATED), NOW + DAYS)
    assert books.memories[f"subscription:{SUBSCRIBER}"]["unpaid"] is False
