"""Cents or dollars: resolved where the body tells, else said to be unknown."""

from decimal import Decimal
from typing import Any

import pytest

from recipes.events import money
from recipes.events.facts import facts_of
from tests.conftest import NOW
from tests.recipes.events.deliveries import sample, variant


@pytest.mark.parametrize(
    ("changes", "amount", "total"),
    [
        ({"amount": 64.99}, "64.99", "$64.99"),
        ({"amount": 60, "tax": {"amount": 4.5}}, "60.00", "$60.00"),
        ({"amount": 12, "amountBeforeTax": 11.5, "currency": "eur"}, "12.00", "€12.00"),
        ({"amount": 1299.5}, "1299.50", "$1,299.50"),
        ({"amount": 70.18920000000001}, "70.19", "$70.19"),
        ({"amount": 500, "currency": "jpy"}, "500", "¥500"),
        ({"amount": 12.5, "currency": "kwd"}, "12.500", "12.500 KWD"),
        ({"amount": 12.5, "currency": "chf"}, "12.50", "12.50 CHF"),
        ({"amount": -5.25}, "-5.25", "-$5.25"),
        ({"amount": "64.99"}, "64.99", "$64.99"),
        ({"amount": 0}, "0.00", "$0.00"),
        ({"amount": 64.9, "currency": None}, "64.9", "64.90"),
        ({"amount": 3239}, None, "3239 USD (cents or dollars not known)"),
        ({"amount": 3239, "currency": "gbp"}, None, "3239 GBP (pence or pounds not known)"),
        ({"amount": 3239, "currency": "chf"}, None, "3239 CHF (the unit is not known)"),
        ({"amount": 3239, "currency": None}, None, "3239 (the unit and the currency are not known)"),
        ({"amount": 2999, "amountBeforeTax": 2999, "product": {"id": "p", "price": 29.99}}, "29.99", "$29.99"),
        ({"amount": 2999, "amountBeforeTax": 2999, "product": {"id": "p", "price": 2999}}, None,
         "2999 USD (cents or dollars not known)"),
        ({"amount": True}, None, None),
        ({"amount": "a lot"}, None, None),
        ({"amount": 10**15}, None, None),
        ({"amount": None}, None, None),
    ],
)  # fmt: skip
def test_an_orders_amount(changes: dict[str, Any], amount: str | None, total: str | None) -> None:
    """A fraction anywhere means major units; whole numbers alone tell nothing, and no filter may act on them."""
    body = {**sample("order.completed", tax=None, amountBeforeTax=None), **changes}
    told = facts_of("order.completed", body, occurred_at=NOW, test_mode=False)["order"]
    # As text: 60.00 equals 60, but people expect to read the former.
    assert (told["amount"] if amount is None else str(told["amount"]), told["total"]) == (amount, total)
    assert told["amount_known"] is (amount is not None)


def test_all_amounts_of_an_ambiguous_order_are_unknown() -> None:
    """The order of the documented minor-units case: none of its amounts is guessed."""
    body = variant("order.completed.minor-units")
    told = facts_of("order.completed", body, occurred_at=NOW, test_mode=False)["order"]
    assert (told["amount"], told["amount_before_tax"], told["tax"]) == (None, None, None)
    assert told["total"] == "3239 USD (cents or dollars not known)"


@pytest.mark.parametrize(
    ("amount", "currency", "is_amount", "total"),
    [
        (1500, "usd", "15.00", "$15.00"),
        (1500, "jpy", "1500", "¥1,500"),
        (1500, "kwd", "1.500", "1.500 KWD"),
        (15.5, "usd", "15.50", "$15.50"),
        (1500, "isk", None, "1500 ISK (the unit is not known)"),
        (1500, "usdc", None, "1500 USDC (the unit is not known)"),
        (1500, None, None, "1500 (the unit and the currency are not known)"),
        (None, "usd", None, None),
    ],
)
def test_an_invoices_amount_is_in_the_smallest_unit(
    amount: Any, currency: str | None, is_amount: str | None, total: str | None
) -> None:
    """By the currency's own number of decimals; unknown where that is in dispute."""
    body = sample("invoice.paid", amount=amount, currency=currency)
    told = facts_of("invoice.paid", body, occurred_at=NOW, test_mode=False)["invoice"]
    assert (told["amount"] if is_amount is None else str(told["amount"]), told["total"]) == (is_amount, total)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1_000", "9" * 40, "", None, [], {}, False, 1e300])
def test_odd_numbers_are_no_amounts(value: Any) -> None:
    """Nothing that is not a sensible number gets into a sheet or a comparison."""
    assert money.number(value) is None


def test_numbers_are_what_was_written() -> None:
    """Not the float nearest to it."""
    assert money.number(64.99) == Decimal("64.99")
