"""The 20 events: each is complete, and its sample can run."""

import re

import pytest

from recipes.events import EVENT_TYPES, EventType, canonical, event_type, names_that_run
from recipes.events.vocabulary import VOCABULARY, pick
from recipes.models import Standing
from tests.recipes.events.deliveries import reading_of

EACH = pytest.mark.parametrize("event", EVENT_TYPES, ids=lambda event: event.name)


def test_there_are_the_20_events_that_pocketsflow_lists() -> None:
    """Exactly these; an event that is not here is stored as unknown."""
    assert sorted(event.name for event in EVENT_TYPES) == [
        "customer.created",
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.pause",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
        "invoice.created",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.upcoming",
        "order.completed",
        "order.refunded",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
        "product.created",
        "product.deleted",
        "product.updated",
        "review.created",
    ]


def test_families_keep_together() -> None:
    """Pages group by family in this order: no family comes up twice."""
    families = [event.family for event in EVENT_TYPES]
    assert sorted(families, key=families.index) == families


@EACH
def test_its_words_fit_into_sentences(event: EventType) -> None:
    """A title without a full stop, sentences with one, and words that complete "When …, …"."""
    assert re.fullmatch(r"[A-Z][^.]*", event.title)
    assert re.fullmatch(r"[A-Z].*\.", event.sentence)
    assert re.fullmatch(r"an? .*[^.]|someone .*[^.]", event.when)


@EACH
def test_its_sample_is_read_as_that_event_and_can_run(event: EventType) -> None:
    """The set-up form previews with it, `pocketwire send` sends it."""
    reading = reading_of(event.sample(), event.name)
    assert (reading.type, reading.standing, reading.reason) == (event.name, Standing.READY, "")


def test_samples_are_made_anew() -> None:
    """Whoever changes one does not change the next."""
    event = EVENT_TYPES[0]
    event.sample().clear()
    assert event.sample()


def test_the_vocabulary_has_each_fact_once_and_all_are_used() -> None:
    """A name means one thing, and none is there for nothing."""
    names = [fact.name for fact in VOCABULARY]
    assert len(set(names)) == len(names)
    assert {fact.name for event in EVENT_TYPES for fact in event.facts} == set(names)


def test_a_fact_that_is_not_there_cannot_be_picked() -> None:
    """A slip in the catalogue is found at import, not at the first event."""
    with pytest.raises(LookupError, match=r"buyer\.mail"):
        pick("buyer.mail")


@pytest.mark.parametrize(
    ("name", "is_called"),
    [
        ("customer.subscription.paused", "customer.subscription.pause"),
        (" Order.Completed ", "order.completed"),
        ("order.Exploded", "order.Exploded"),
    ],
)
def test_an_event_has_one_name(name: str, is_called: str) -> None:
    """Aliases and spelling are settled once; unknown names stay."""
    assert canonical(name) == is_called


def test_an_alias_is_found_too() -> None:
    """What a merchant types on the command line may be the alias."""
    assert event_type("customer.subscription.paused") is event_type("customer.subscription.pause")
    assert event_type("order.exploded") is None


def test_recipes_for_either_twin_run_on_the_one_that_is_kept() -> None:
    """Of invoice.paid and invoice.payment_succeeded only the first to arrive is stored."""
    assert set(names_that_run("invoice.paid")) == set(names_that_run("invoice.payment_succeeded"))
    assert names_that_run("order.completed") == ("order.completed",)
    assert names_that_run("order.exploded") == ("order.exploded",)
    for event in EVENT_TYPES:
        twin = event_type(event.twin) if event.twin else None
        assert twin is None or twin.twin == event.name
