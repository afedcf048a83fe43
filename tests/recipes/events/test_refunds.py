"""Refunds of one order: whether they may come to all that was paid."""

from collections.abc import Sequence
from typing import Any

import pytest

from recipes.events import refunds

SALE: dict[str, Any] = {"order": {"id": "o"}, "currency": "usd", "amount": 64.99, "amountBeforeTax": 60.5}


def _refund(amount: Any, **more: Any) -> dict[str, Any]:
    return {"order": {"id": "o"}, "refund": {"id": "r", "amount": amount, "status": "succeeded"}, **more}


@pytest.mark.parametrize(
    ("refunded", "sale", "may_be_whole"),
    [
        # In decimals on both sides.
        ([_refund(64.99)], SALE, True),
        ([_refund(60.5)], SALE, True),  # the tax apart
        ([_refund(60.49)], SALE, False),
        ([_refund("5.50")], SALE, False),
        ([_refund(-64.99)], SALE, True),
        ([_refund(30.5), _refund(29.99)], SALE, False),
        ([_refund(30.5), _refund(30.5)], SALE, True),
        # A whole number may be dollars or cents: 10 is a part either way, 6499 and 3000 may be too much.
        ([_refund(10)], SALE, False),
        ([_refund(6499)], SALE, True),
        ([_refund(3000)], SALE, True),
        ([_refund(10)], {**SALE, "amount": 6499, "amountBeforeTax": 6050}, False),
        ([_refund(61)], {**SALE, "amount": 6499, "amountBeforeTax": 6050}, True),
        ([_refund(64.99)], {**SALE, "amount": 6499, "amountBeforeTax": 6050}, True),
        # What tells the unit: the product's price in the refund, a currency without cents, or none at all.
        ([_refund(550, currency="usd", amountBeforeTax=6050, product={"price": 60.5})], SALE, False),
        ([_refund(200)], {"currency": "jpy", "amount": 500}, False),
        ([_refund(500)], {"currency": "jpy", "amount": 500}, True),
        ([_refund(7)], {"amount": 6499}, True),
        ([_refund(6)], {"amount": 6499}, False),
        # Not told.
        ([_refund(None)], SALE, True),
        ([_refund(0)], SALE, True),
        ([_refund("all")], SALE, True),
        ([{**SALE}], SALE, True),
        ([_refund(5.5), _refund(None)], SALE, True),
        ([_refund(None), _refund(5.5)], SALE, True),
        ([_refund(5.5)], {"order": {"id": "o"}}, True),
        ([_refund(5.5)], {"currency": "usd", "amount": 0}, True),
        ([], SALE, False),
    ],
)
def test_whether_refunds_may_be_of_the_whole(
    refunded: Sequence[dict[str, Any]], sale: dict[str, Any], may_be_whole: bool
) -> None:
    """Access is not given again after a full refund; after a part the buyer keeps it. In doubt, it counts as full."""
    memory: dict[str, Any] | None = None
    for payload in refunded:
        memory = refunds.added(memory, payload)
    assert refunds.may_be_whole(memory, sale) is may_be_whole


def test_a_memory_from_before_amounts_were_remembered_tells_nothing() -> None:
    """It knows only how many refunds there were."""
    assert refunds.may_be_whole({"count": 1}, SALE)
    assert refunds.added({"count": 1}, _refund(5.5)) == {"count": 2, "most": None}
