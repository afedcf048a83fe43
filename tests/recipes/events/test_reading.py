"""A delivery is read whatever shape it has; what must not run is set apart with a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recipes.models import Standing
from tests.conftest import NOW
from tests.recipes.events.deliveries import packed, reading_of, sample, subscriber, variant

DELETED = "customer.subscription.deleted"
CREATED = "customer.subscription.created"
REFUND = {"id": "refund_1", "amount": 5.5}


@pytest.mark.parametrize(
    ("name", "header", "is_type", "subject"),
    [
        ("customer.created.help-center", "customer.created", "customer.created", "customer@example.com"),
        ("customer.subscription.created.help-center", CREATED, CREATED, "customer@example.com"),
        ("customer.subscription.paused", "customer.subscription.paused", "customer.subscription.pause",
         "buyer@example.com"),
        ("order.completed.enveloped", "order.completed", "order.completed", "customer@example.com"),
        ("order.completed.enveloped", None, "order.completed", "customer@example.com"),
        ("order.completed.help-center", "order.completed", "order.completed", "customer@example.com"),
        ("order.completed.minor-units", "order.completed", "order.completed", "buyer@example.com"),
        ("order.refunded.help-center", "order.refunded", "order.refunded", "customer@example.com"),
    ],
)  # fmt: skip
def test_every_documented_shape_can_run(name: str, header: str | None, is_type: str, subject: str) -> None:
    """Older bodies, wrapped ones, aliases, no header: all become the same event."""
    reading = reading_of(variant(name), header)
    assert (reading.type, reading.standing, reading.subject) == (is_type, Standing.READY, subject)


def test_a_wrapped_body_is_read_flat() -> None:
    """Recipes see one shape; a flat body that has something called `data` is left alone."""
    assert reading_of(variant("order.completed.enveloped")).payload == variant("order.completed.enveloped")["data"]
    flat = sample("order.completed", data={"order": {"id": "another"}})
    assert reading_of(flat, "order.completed").payload == flat


@pytest.mark.parametrize(
    ("body", "header", "name"),
    [
        (sample("order.completed"), None, "order.completed"),
        (sample("customer.subscription.pause"), "customer.subscription.paused", "customer.subscription.pause"),
        (sample("order.completed"), "  order.completed ", "order.completed"),
        (sample("product.created", type="one-time"), "product.created", "product.created"),
        (sample("review.created", type="review.created"), None, "review.created"),
        (sample("review.created", event="event"), "review.created", "review.created"),
    ],
)
def test_the_name_is_found_where_it_is(body: Any, header: str | None, name: str) -> None:
    """In the header, in the body's `event`, in `type`; a `type` that is a product's own is no name."""
    reading = reading_of(body, header)
    assert (reading.type, reading.standing) == (name, Standing.READY)


@pytest.mark.parametrize(
    ("body", "header", "name"),
    [
        (sample("order.completed"), "order.refunded", "order.completed"),
        (variant("order.completed.enveloped"), "order.refunded", "order.completed"),
        (sample("order.completed", type="order.refunded"), "order.completed", "order.completed"),
        (sample("order.completed", event="order.exploded"), "order.completed", "order.exploded"),
    ],
)
def test_contradicting_names_are_suspicious(body: Any, header: str, name: str) -> None:
    """The header is not signed: a captured body cannot be sent again under a harsher name. The body's name is kept."""
    reading = reading_of(body, header)
    assert (reading.type, reading.standing) == (name, Standing.SUSPICIOUS)
    assert "no recipe ran" in reading.reason


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (sample(CREATED), DELETED),
        (sample(CREATED, subscriptionCustomer={"id": "s1"}, status=None), DELETED),
        (sample(DELETED), CREATED),
        (sample(DELETED), "customer.subscription.resumed"),
        (sample("review.created"), "order.completed"),
        (sample(CREATED), "order.refunded"),
        (sample("order.completed", event=None), DELETED),
        (sample("order.completed", event=None), "product.deleted"),
        (sample("payment_intent.succeeded"), "invoice.paid"),
    ],
)
def test_contents_of_another_event_are_suspicious(body: Any, header: str) -> None:
    """Nobody loses access over a captured "subscription started" that is sent again as its end."""
    reading = reading_of(body, header)
    assert (reading.type, reading.standing) == (header, Standing.SUSPICIOUS)
    assert reading.reason.endswith(".")


@pytest.mark.parametrize(
    "ended",
    [
        subscriber("cancelled", active=None),
        subscriber("active", active=False),
        subscriber("canceled"),
        subscriber("incomplete-expired"),
    ],
)
def test_an_end_is_believed_in_all_its_words(ended: dict[str, Any]) -> None:
    """A status in any spelling, or `active: false`."""
    assert reading_of(sample(DELETED, subscriptionCustomer=ended), DELETED).standing == Standing.READY


@pytest.mark.parametrize(
    ("body", "header", "says"),
    [
        (variant("invoice.payment_succeeded.stripe-passthrough"), "invoice.payment_succeeded", "whose subscription"),
        ({"test": True}, "order.completed", "which order"),
        (sample("order.completed", order={"id": "\x00"}), "order.completed", None),
        ({"message": "hello"}, "review.created", "what the review is"),
        ({"object": "product"}, "product.deleted", "which product"),
        ({"customer": {}}, "customer.created", "who the customer is"),
    ],
)  # fmt: skip
def test_what_does_not_say_whom_it_is_about_does_not_run(body: Any, header: str, says: str | None) -> None:
    """Stored and shown; a recipe would act on nobody, or on everybody as the same nobody."""
    reading = reading_of(body, header)
    assert reading.standing != Standing.READY
    if says:
        assert reading.standing == Standing.UNKNOWN
        assert says in reading.reason


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        ("succeeded", Standing.READY),
        ("Completed", Standing.READY),
        (None, Standing.READY),
        ("pending", Standing.UNKNOWN),
        ("failed", Standing.UNKNOWN),
        ("\ud800", Standing.UNKNOWN),
    ],
)
def test_a_refund_runs_once_it_is_settled(status: str | None, standing: Standing) -> None:
    """A pending refund may fail: nobody loses access over it."""
    reading = reading_of(sample("order.refunded", refund={**REFUND, "status": status}), "order.refunded")
    assert reading.standing == standing
    reading.reason.encode()


@pytest.mark.parametrize(
    ("body", "header", "name"),
    [
        ({"some": "thing"}, "order.exploded", "order.exploded"),
        (variant("identity.verification_session.verified"), "identity.verification_session.verified",
         "identity.verification_session.verified"),
        ({"some": "thing"}, None, "unknown"),
        ({"some": "thing"}, " \x00\x1f ", "unknown"),
        ({"some": "thing"}, "x" * 1000, "x" * 100),
        ({"event": "sneeze"}, None, "sneeze"),
        ({"event": 5}, None, "unknown"),
        ({"event": "\ud800.\ud800"}, None, "."),
    ],
)  # fmt: skip
def test_unknown_events_keep_a_name_that_can_be_stored(body: Any, header: str | None, name: str) -> None:
    """Never refused, never run."""
    reading = reading_of(body, header)
    assert (reading.type, reading.standing) == (name, Standing.UNKNOWN)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00 not json",
        b'{"order": ',
        b"[1, 2]",
        b'"text"',
        b"null",
        b'{"amount": NaN}',
        b'{"amount": 1e999}',
        b'{"amount": ' + b"9" * 5000 + b"}",
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"[" * 200_000,
    ],
    ids=range(12),
)
def test_what_is_not_a_json_object_is_unreadable(body: bytes) -> None:
    """Signed all the same, so it is kept; the header still says what it was to be."""
    reading = reading_of(body, "order.completed")
    assert (reading.type, reading.standing, reading.payload) == ("order.completed", Standing.UNREADABLE, None)
    assert reading.reason.endswith(".")


def test_many_small_objects_are_not_deep() -> None:
    """Wide is fine, deep is not."""
    wide = sample("order.completed", metadata={"items": [{"n": [number]} for number in range(500)]})
    assert reading_of(wide, "order.completed").standing == Standing.READY


@pytest.mark.parametrize(
    ("body", "header", "subject"),
    [
        (sample("review.created", customer={"email": "  Jane@Example.COM "}), "review.created", "jane@example.com"),
        (sample(CREATED, customer=None), CREATED, "6a43ce05fae6c4f0cb5a2193"),
        (sample(CREATED, customer={"email": "\ud800@x"}), CREATED, "6a43ce05fae6c4f0cb5a2193"),
        (sample(CREATED, customer={"email": "not an address"}), CREATED, "6a43ce05fae6c4f0cb5a2193"),
        (sample("order.completed", customer="cus_1"), "order.completed", "cus_1"),
        (sample("order.completed", customer=None), "order.completed", "order_xyz123"),
        (sample("product.created"), "product.created", "65a1b2c3d4e5f6a7b8c9d0e1"),
        ({"some": "thing"}, "order.exploded", None),
    ],
)
def test_the_subject_is_the_buyer_or_the_next_best(body: Any, header: str, subject: str | None) -> None:
    """Runs of one subject keep their order, so one buyer must always be the same text."""
    assert reading_of(body, header).subject == subject


@pytest.mark.parametrize(
    ("header", "occurred_at"),
    [
        ("1784894399500", NOW - timedelta(milliseconds=500)),
        ("1784894399", NOW - timedelta(seconds=1)),
        (" 1784894400000 ", NOW),
        ("1784894400001", NOW),
        ("1784289599999", NOW),
        ("1784289600000", NOW - timedelta(days=7)),
        ("0", NOW),
        ("-5", NOW),
        ("soon", NOW),
        ("٣", NOW),
        ("9" * 400, NOW),
        ("", NOW),
        (None, NOW),
    ],
)
def test_the_time_is_believed_within_reason(header: str | None, occurred_at: datetime) -> None:
    """Milliseconds or seconds. It is not signed: never after the receipt, nor long before it."""
    assert datetime(2026, 7, 24, 12, tzinfo=UTC) == NOW
    assert reading_of(sample("order.completed"), "order.completed", sent=header).occurred_at == occurred_at


def test_reading_it_again_from_what_was_stored_gives_the_same() -> None:
    """The engine reads the kept body under the stored name when a run begins."""
    first = reading_of(variant("order.completed.enveloped"))
    assert reading_of(packed(variant("order.completed.enveloped")), first.type) == first
