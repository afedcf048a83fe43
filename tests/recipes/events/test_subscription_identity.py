"""A subscription's events: each pause, change and end counts, and a repeat of one does not."""

import json

import pytest

from tests.conftest import NOW
from tests.recipes.events.deliveries import DAYS, HOURS, MINUTES, SUBSCRIBER, Books, sample, subscriber, variant

PAUSE, RESUMED, UPDATED = (f"customer.subscription.{word}" for word in ("pause", "resumed", "updated"))
CREATED, DELETED, PAID = "customer.subscription.created", "customer.subscription.deleted", "invoice.payment_succeeded"


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
