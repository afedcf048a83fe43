"""Which event undoes which: the table behind the question before something runs again."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest

from recipes.events import EVENT_TYPES
from recipes.events.undoing import RETURNS, Later, undone
from tests.conftest import NOW
from tests.recipes.events.deliveries import sample

WHEN = "2026-07-03T09:00:00+00:00"
THEN = datetime.fromisoformat(WHEN)
WHOLE = {"count": 1, "most": "64.99", "refunded_at": WHEN}
PART = {"count": 1, "most": "5.50", "refunded_at": WHEN}
ENDED = {"ended": True, "ended_at": WHEN, "generation": 0}
ALIVE = {"ended": False, "ended_at": WHEN, "generation": 1}
GOING_ON = (
    "customer.subscription.created", "customer.subscription.updated", "customer.subscription.resumed",
    "invoice.payment_succeeded", "invoice.paid",
)  # fmt: skip
SALE, REFUND = "order.completed", "order.refunded"
PAUSE, FAILED = "customer.subscription.pause", "invoice.payment_failed"
CREATED, DELETED = "customer.subscription.created", "customer.subscription.deleted"


def _sale(order: str = "another", memory: Any = None, **changes: Any) -> Later:
    return Later(sample(SALE, order={"id": order}, **changes), NOW, memory)


def _start(memory: Any = None, **changes: Any) -> Later:
    return Later(sample(CREATED, **changes), NOW, memory)


@pytest.mark.parametrize(
    ("name", "memory", "later", "expected"),
    [
        # A sale, by its order: whether it was refunded.
        (SALE, WHOLE, [], ("This order was refunded", THEN)),
        (SALE, {"count": 1}, [], ("This order was refunded", None)),
        (SALE, PART, [], None),
        (SALE, None, [], None),
        # A subscription, by its own id: whether it is over.
        *[(name, ENDED, [], ("This subscription ended", THEN)) for name in GOING_ON],
        *[(name, {"ended": True}, [], ("This subscription ended", None)) for name in GOING_ON],
        *[(name, ALIVE, [], None) for name in GOING_ON],
        *[(name, None, [], None) for name in GOING_ON],
        # Its end, by its own id: whether it goes on; by the buyer and the offer: whether there is another.
        (DELETED, ALIVE, [], ("This subscription goes on again", None)),
        (DELETED, ENDED, [], None),
        (DELETED, ENDED, [_start()], ("This buyer subscribed again", NOW)),
        (DELETED, ENDED, [_start(ENDED)], None),
        (DELETED, ENDED, [_start(ENDED), _start(ALIVE)], ("This buyer subscribed again", NOW)),
        (DELETED, ENDED, [_start(subscription={"id": "another offer"})], None),
        (DELETED, None, [_start()], ("This buyer subscribed again", NOW)),
        # A pause, and a payment that failed: whether it was resumed, or paid.
        (PAUSE, {"paused": False, "moved_at": WHEN}, [], ("This subscription goes on again", THEN)),
        (PAUSE, {"paused": True, "moved_at": WHEN}, [], None),
        (PAUSE, {"paused": False, **ENDED}, [], None),
        (PAUSE, {"status": "active"}, [_start()], None),
        (PAUSE, None, [_start()], None),
        (FAILED, {"unpaid": False, "billed_at": WHEN}, [], ("This subscription was paid", THEN)),
        (FAILED, {"unpaid": True, "billed_at": WHEN}, [], None),
        (FAILED, {"unpaid": False, **ENDED}, [], None),
        (FAILED, {"status": "active"}, [_start()], None),
        (FAILED, None, [_start()], None),
        # A refund, by the buyer and the product: whether there is another sale. The refund's sample names no product.
        (REFUND, WHOLE, [], None),
        (REFUND, WHOLE, [_sale()], ("This buyer bought again", NOW)),
        (REFUND, WHOLE, [_sale("order_xyz123")], None),
        (REFUND, WHOLE, [_sale(memory=WHOLE)], None),
        (REFUND, WHOLE, [_sale(memory=PART)], ("This buyer bought again", NOW)),
    ],
)
def test_what_undoes_an_event(
    name: str, memory: Any, later: Sequence[Later], expected: tuple[str, datetime | None] | None
) -> None:
    """Whoever left is not let back in by an old run, whoever came back is not shut out by one."""
    found = undone(name, sample(name), memory, later)
    assert (found and (found.happened, found.at)) == expected
    if found:
        gives = name in (SALE, *GOING_ON)
        may = "give access back" if gives else "take access away"
        assert found.beware == f"Running this again may {may}, and write over what a row of a table says by now."


@pytest.mark.parametrize(("product", "is_same"), [("prod_456def", True), ("another", False), (None, True)])
def test_a_refund_that_names_its_product_is_about_that_one(product: str | None, is_same: bool) -> None:
    """Another product's purchase does not bring this one back; where one is not told, it may."""
    body = sample(REFUND, product={"id": product})
    assert (undone(REFUND, body, WHOLE, [_sale()]) is not None) is is_same


def test_nothing_undoes_the_other_events() -> None:
    """A message about a review, a notice of a trial's end, a customer who remains one."""
    others = {event.name for event in EVENT_TYPES} - {SALE, REFUND, DELETED, PAUSE, FAILED, *GOING_ON}
    for name in others:
        memory = {**WHOLE, **ENDED}
        assert undone(name, sample(name), memory, [_sale(), _start()]) is None
    assert len(others) == 10
    assert set(RETURNS) == {REFUND, DELETED}


def test_later_events_are_looked_for_only_where_they_count() -> None:
    """The look costs something; nothing but an end or a refund needs it."""

    def never() -> Iterator[Later]:
        raise AssertionError("looked")
        yield

    assert undone(SALE, sample(SALE), None, never()) is None
    assert undone(DELETED, sample(DELETED), ALIVE, never()) is not None
    assert undone(CREATED, sample(CREATED), ENDED, never()) is not None
