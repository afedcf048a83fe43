"""Whatever is sent, reading it raises nothing, and what comes of it can be stored."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.events import EVENT_TYPES
from recipes.events.facts import facts_of
from recipes.events.identity import about, identify
from recipes.events.reading import read
from recipes.models import Standing
from tests.conftest import NOW

NAMES = st.sampled_from([event.name for event in EVENT_TYPES]) | st.text(max_size=20) | st.none()
# With half characters, as JSON allows them.
TEXT = st.text(st.characters(exclude_categories=[]), max_size=12) | st.sampled_from(["canceled", "a@b.c", "id1", "1.5"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
WORDS = st.sampled_from(
    [
        "order", "refund", "customer", "product", "review", "payment", "tax", "metadata", "data", "event", "type",
        "subscription", "subscriptionCustomer", "subscriptionCustomerId", "status", "active", "paused", "portalUrl",
        "id", "_id", "email", "buyerEmail", "firstName", "name", "ToCountry", "variantId", "rating",
        "amount", "amountBeforeTax", "currency", "price",
    ]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXT, inner, max_size=8), max_leaves=20
)
BODIES = st.dictionaries(WORDS, VALUES, max_size=12)


def check(body: bytes, header: str | None, stamp: str | None) -> None:
    """Goes the whole way."""
    reading = read(body, event_header=header, timestamp_header=stamp, received_at=NOW)
    for text in (reading.type, reading.reason, reading.subject or ""):
        text.encode()
        assert "\0" not in text
    assert 1 <= len(reading.type) <= 100
    assert bool(reading.reason) is (reading.standing != Standing.READY)
    assert reading.occurred_at <= NOW
    memory: Any = None
    for _ in range(2):
        found = identify(reading, body, received_at=NOW, memory=memory)
        assert found.keys
        for key in found.keys:
            key.text.encode()
            assert reading.standing != Standing.READY or ":None" not in key.text or b"None" in body
        if about(reading) is None:
            assert found.memory is None
        memory = found.memory and json.loads(json.dumps(found.memory))
    if reading.payload is not None:
        facts = facts_of(reading.type, reading.payload, occurred_at=NOW, test_mode=False)
        assert "portalUrl" not in json.dumps(list(facts["payload"]))


@settings(max_examples=150, deadline=None, database=None)
@given(st.binary(max_size=60), NAMES, TEXT)
def test_any_bytes(body: bytes, header: str | None, stamp: str) -> None:
    """Most are no JSON at all."""
    check(body, header, stamp)


@settings(max_examples=200, deadline=None, database=None)
@given(BODIES, NAMES)
def test_any_object_made_of_our_words(body: dict[str, Any], header: str | None) -> None:
    """The right names with the wrong kinds of values under them."""
    check(json.dumps(body).encode(), header, None)


@settings(max_examples=200, deadline=None, database=None)
@given(st.sampled_from(EVENT_TYPES), WORDS, WORDS, VALUES)
def test_a_sample_with_any_value_in_any_place(event: Any, outer: str, inner: str, value: Any) -> None:
    """One odd value in an event that is fine otherwise."""
    body = event.sample()
    check(json.dumps({**body, outer: value}).encode(), event.name, None)
    if isinstance(body.get(outer), dict):
        check(json.dumps({**body, outer: {**body[outer], inner: value}}).encode(), event.name, None)
