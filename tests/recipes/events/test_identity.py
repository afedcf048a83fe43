"""Identity keys: no event runs twice, and no real one is taken for a repeat."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from recipes.events import EVENT_TYPES
from recipes.events.identity import about
from tests.conftest import NOW
from tests.recipes.events.deliveries import (
    DAYS,
    HOURS,
    MINUTES,
    SUBSCRIBER,
    Books,
    identity_of,
    reading_of,
    sample,
    variant,
)

OFFER = "6949918ee8d99b0e628103e0"
PRODUCT = "65a1b2c3d4e5f6a7b8c9d0e1"
PAUSE, RESUMED, UPDATED = (f"customer.subscription.{word}" for word in ("pause", "resumed", "updated"))
CREATED, DELETED = "customer.subscription.created", "customer.subscription.deleted"
PAID, TWIN = "invoice.payment_succeeded", "invoice.paid"
BY_BODY_TOO = {
    "order.refunded", UPDATED, PAUSE, RESUMED, DELETED, "product.updated",
    "payment_intent.succeeded", "payment_intent.payment_failed",
}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("order.completed", [("order.completed:order_xyz123", None)]),
        ("order.refunded", [("order.refunded:order_xyz123:1", None),
                            ("order.refunded:order_xyz123:id:refund_abc456", None)]),
        ("customer.created", [("customer.created:email:buyer@example.com", None),
                              ("customer.created:id:6a43ce05fae6c4f0cb5a2190", None)]),
        ("review.created", [("review.created:id:6a44aa01fae6c4f0cb5a21c0", None),
                            (f"review.created:{PRODUCT}:buyer@example.com", None)]),
        (CREATED, [(f"sub.created:{SUBSCRIBER}", None), (f"sub.created:{OFFER}:buyer@example.com", HOURS)]),
        (UPDATED, [(f"sub.state:{SUBSCRIBER}:1", DAYS)]),
        (PAUSE, [(f"sub.state:{SUBSCRIBER}:1", DAYS), (f"sub.pause:{SUBSCRIBER}:1", DAYS)]),
        (RESUMED, [(f"sub.state:{SUBSCRIBER}:1", DAYS), (f"sub.resumed:{SUBSCRIBER}:1", DAYS)]),
        ("customer.subscription.trial_will_end", [(f"sub.trial_will_end:{SUBSCRIBER}", None)]),
        (DELETED, [(f"sub.deleted:{SUBSCRIBER}:0", None)]),
        (PAID, [(f"renewal.paid:{SUBSCRIBER}", DAYS)]),
        (TWIN, [(f"renewal.paid:{SUBSCRIBER}", DAYS)]),
        ("invoice.payment_failed", [(f"renewal.failed:{SUBSCRIBER}", HOURS)]),
        ("invoice.created", [(f"invoice.created:{SUBSCRIBER}", DAYS)]),
        ("invoice.upcoming", [(f"invoice.upcoming:{SUBSCRIBER}", DAYS)]),
        ("payment_intent.succeeded", []),
        ("payment_intent.payment_failed", []),
        ("product.created", [(f"product.created:{PRODUCT}", None)]),
        ("product.updated", [(f"product.updated:{PRODUCT}:1:digest", DAYS)]),
        ("product.deleted", [(f"product.deleted:{PRODUCT}", None)]),
    ],
)  # fmt: skip
def test_each_events_keys(event: str, expected: Sequence[tuple[str, timedelta | None]]) -> None:
    """The table: what is one and the same event, and for how long.

    Where its keys do not say as much by themselves, as one that counts does not, the body is the last key.
    """
    keys = list(identity_of(sample(event), event).keys)
    if event in BY_BODY_TOO:
        same_body = keys.pop()
        assert same_body.text.startswith(f"same:{event}:")
        assert same_body.until == NOW + (DAYS if event.startswith("payment_intent.") else 10 * MINUTES)
    found = [(_without_digest(key.text), key.until and key.until - NOW) for key in keys]
    assert found == [(_without_digest(text), until) for text, until in expected]


def _without_digest(key: str) -> str:
    return key.rpartition(":")[0] if key.startswith("product.updated:") else key


def test_the_table_is_complete() -> None:
    """A new event gets its row."""
    [mark] = test_each_events_keys.pytestmark  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == {event.name for event in EVENT_TYPES}


@pytest.mark.parametrize(
    ("event", "body", "key"),
    [
        ("order.completed", sample("order.completed", order={"_id": "o1"}), "order.completed:o1"),
        ("order.completed", sample("order.completed", order=None, orderId=7), "order.completed:7"),
        ("order.refunded", variant("order.refunded.help-center"), "order.refunded:ord_abc123def456:1"),
        ("customer.created", variant("customer.created.help-center"), "customer.created:email:customer@example.com"),
        (CREATED, variant("customer.subscription.created.help-center"), "sub.created:cus_9876543210"),
        (PAID, sample(PAID, payment={"id": "pay_1"}), "renewal.paid:payment:pay_1"),
        ("invoice.payment_failed", sample("invoice.payment_failed", paymentId="pay_1"),
         "renewal.failed:payment:pay_1"),
    ],
)  # fmt: skip
def test_other_shapes_have_the_same_keys(event: str, body: Any, key: str) -> None:
    """So that the shapes, and later the API's rows, meet."""
    assert key in [each.text for each in identity_of(body, event).keys]


# ── Repeats ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("event", [event.name for event in EVENT_TYPES])
def test_an_exact_repeat_is_a_duplicate_for_ten_minutes(event: str) -> None:
    """Whatever the event."""
    books = Books()
    assert books.takes(event, sample(event))
    assert not books.takes(event, sample(event), NOW + 9 * MINUTES)


@pytest.mark.parametrize(
    ("event", "again_after"),
    [
        ("order.completed", None),
        ("customer.created", None),
        ("review.created", None),
        (CREATED, None),
        (DELETED, None),
        ("customer.subscription.trial_will_end", None),
        ("product.created", None),
        ("product.deleted", None),
        (PAID, DAYS),
        (TWIN, DAYS),
        ("invoice.payment_failed", HOURS),
        ("invoice.created", DAYS),
        ("invoice.upcoming", DAYS),
        ("payment_intent.succeeded", DAYS),
        ("product.updated", DAYS),
        (PAUSE, DAYS),
        (UPDATED, 10 * MINUTES),
    ],
)
def test_how_long_a_repeat_counts_as_one(event: str, again_after: timedelta | None) -> None:
    """To the second, from the receipt on, and never over a fixed edge such as midnight."""
    books, start = Books(), NOW.replace(hour=23, minute=59, second=59)
    assert books.takes(event, sample(event), start)
    if again_after is None:
        assert not books.takes(event, sample(event), start + 400 * DAYS)
        return
    assert not books.takes(event, sample(event), start + again_after - timedelta(seconds=1))
    assert books.takes(event, sample(event), start + again_after)


def test_a_webhook_id_alone_tells_nothing_apart_and_joins_nothing() -> None:
    """It may be the endpoint's own, the same in every delivery, or new at every delivery of one event."""
    books = Books()
    assert books.takes("order.completed", sample("order.completed", webhookId="w", order={"id": "o1"}))
    assert books.takes("order.completed", sample("order.completed", webhookId="w", order={"id": "o2"}))
    assert not books.takes("order.completed", sample("order.completed", webhookId="v", order={"id": "o1"}))


@pytest.mark.parametrize("first", [PAID, TWIN])
def test_two_events_tell_of_one_renewal(first: str) -> None:
    """Whichever comes first is kept; next week's renewal is another, byte for byte the same or not."""
    books, second = Books(), TWIN if first == PAID else PAID
    assert books.takes(first, sample(first))
    assert not books.takes(second, sample(second), NOW + HOURS)
    assert books.takes(second, sample(second), NOW + 7 * DAYS)
    assert not books.takes(first, sample(first), NOW + 7 * DAYS + HOURS)


def test_another_buyers_renewal_at_the_same_time_is_another() -> None:
    """Windows are per subscription."""
    books = Books()
    assert books.takes(PAID, sample(PAID))
    assert books.takes(PAID, sample(PAID, subscriptionCustomerId="another"))


def test_a_renewal_paid_after_a_failure_is_not_its_repeat() -> None:
    """The outcome is part of the key; a later try that fails again counts by itself."""
    books, failed = Books(), "invoice.payment_failed"
    assert books.takes(failed, sample(failed, payment={"id": "pay_1"}))
    assert books.takes(PAID, sample(PAID, payment={"id": "pay_1"}), NOW + MINUTES)
    assert books.takes(failed, sample(failed, payment={"id": "pay_1"}), NOW + 2 * DAYS)


# ── What cannot run ──────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_run_never_stands_in_for_a_real_event() -> None:
    """A forged end claims nothing that the real one needs, and leaves no memory."""
    books = Books()
    assert books.takes(DELETED, sample(CREATED))
    assert not books.takes(DELETED, sample(CREATED), NOW + MINUTES)
    assert books.memories == {}
    assert books.takes(CREATED, sample(CREATED), NOW + MINUTES)
    assert books.takes(DELETED, sample(DELETED), NOW + MINUTES)


def test_a_pending_refund_does_not_hide_the_settled_one() -> None:
    """Same order, same refund id: the second is the first that counts."""
    books = Books()
    for status in ("pending", "succeeded"):
        assert books.takes("order.refunded", sample("order.refunded", refund={"id": "r1", "status": status}))
    assert (
        about(reading_of(sample("order.refunded", refund={"id": "r1", "status": "pending"}), "order.refunded")) is None
    )


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────


def test_partial_refunds_of_one_order_are_numbered() -> None:
    """Each settles a part; one that comes again under its id is known."""
    books = Books()
    for number in (1, 2, 3):
        body = sample("order.refunded", refund={"id": f"r{number}", "amount": 5.5, "status": "succeeded"})
        assert books.takes("order.refunded", body)
        assert f"order.refunded:order_xyz123:{number}" in books.claimed
    again = sample("order.refunded", refund={"id": "r2", "amount": 5.5, "status": "completed"})
    assert not books.takes("order.refunded", again, NOW + 30 * DAYS)
    assert books.memories == {
        "refunds:order_xyz123": {"count": 3, "most": "16.5", "refunded_at": "2026-07-24T12:00:00+00:00"}
    }


def test_a_refund_without_an_id_takes_the_next_place() -> None:
    """The older shape: the same body counts as a repeat for ten minutes only."""
    books, body = Books(), variant("order.refunded.help-center")
    assert books.takes("order.refunded", body)
    assert not books.takes("order.refunded", body, NOW + 9 * MINUTES)
    assert books.takes("order.refunded", body, NOW + 11 * MINUTES)
    assert "order.refunded:ord_abc123def456:2" in books.claimed


@pytest.mark.parametrize(("amount", "is_late"), [(64.99, True), (5.5, False), (None, True)])
def test_a_sale_after_its_refund_is_late_unless_only_a_part_was_refunded(amount: float | None, is_late: bool) -> None:
    """Late is new all the same: its keys are claimed, and what is remembered of the refund stays."""
    refund = {"id": "r1", "amount": amount, "status": "succeeded"}
    memory = identity_of(sample("order.refunded", refund=refund), "order.refunded").memory
    found = identity_of(sample("order.completed"), "order.completed", memory=memory)
    assert found.late == ("This sale came after its refund. It is kept, and no recipe ran." if is_late else "")
    assert found.keys[0].text == "order.completed:order_xyz123"
    assert found.memory is None


# ── Products ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_changed_and_changed_back_is_two_changes() -> None:
    """The same contents as long ago are not a repeat."""
    books = Books()
    for number, price in enumerate((10.5, 20.5, 10.5)):
        product = {"id": PRODUCT, "name": "Guide", "price": price}
        assert books.takes("product.updated", sample("product.updated", product=product, webhookId=str(number)))
    same = sample("product.updated", product={"id": PRODUCT, "name": "Guide", "price": 10.5}, webhookId="again")
    assert not books.takes("product.updated", same, NOW + HOURS)
