"""Amounts in major units (64.99 dollars), exactly, or not at all.

Pocketsflow sends invoices in the currency's smallest unit, and orders sometimes in that and sometimes in decimals.
Where nothing tells which, an amount is unknown rather than a hundred times too much. Amounts are Decimals, rounded to
the currency's own places: they compare exactly and read as people write them (60.00, not 60.0).
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any

_NO_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
# The standard and the payment providers count these currencies' smallest units differently.
_DISPUTED = frozenset({"ISK", "MGA", "UGX"})
_SYMBOLS = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "BRL": "R$",
    "AUD": "A$", "CAD": "CA$", "HKD": "HK$", "MXN": "MX$", "NZD": "NZ$", "SGD": "S$",
}  # fmt: skip
_UNITS = {
    **dict.fromkeys(("USD", "AUD", "CAD", "HKD", "NZD", "SGD"), "cents or dollars"),
    "EUR": "cents or euros",
    "GBP": "pence or pounds",
}
_LARGEST = Decimal(10) ** 12
_LONGEST_NUMBER = 24
_MOST_PLACES = 3


class Unit(Enum):
    """What a number of an amount counts."""

    MAJOR = auto()
    MINOR = auto()
    UNKNOWN = auto()


def number(value: Any) -> Decimal | None:
    """A number or the text of one; None for anything else and for what is no sensible amount."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < _LARGEST else None
    # repr gives the decimal that was sent; the float itself is 64.9899999….
    digits = value.strip() if isinstance(value, str) else repr(value)
    if len(digits) > _LONGEST_NUMBER or "_" in digits:
        return None
    try:
        found = Decimal(digits)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < _LARGEST else None


def currency(value: Any) -> str | None:
    """A currency's code in upper case."""
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if 3 <= len(code) <= 5 and code.isascii() and code.isalnum() else None


def places(code: str | None) -> int | None:
    """How many decimals a currency has; None if that is not certain."""
    if code in _NO_DECIMALS:
        return 0
    if code in _THREE_DECIMALS:
        return 3
    if code is None or code in _DISPUTED or len(code) != 3:
        return None
    return 2


def unit_of_order(amounts: Iterable[Decimal | None], code: str | None, before_tax: Decimal | None, price: Any) -> Unit:
    """In what unit an order's amounts are. price: the product's own, if the payload has it.

    A fraction in any of them means major units. Whole numbers tell nothing by themselves: 2999 may be 29.99 or 2999.
    """
    if places(code) == 0 or any(amount % 1 for amount in amounts if amount is not None):
        return Unit.MAJOR
    known_price, decimals = number(price), places(code)
    # Only a price with a fraction is certain to be in major units itself.
    if known_price and known_price % 1 and decimals is not None and before_tax == known_price.scaleb(decimals):
        return Unit.MINOR
    return Unit.UNKNOWN


def unit_of_price(price: Decimal | None, code: str | None) -> Unit:
    """In what unit a product's price is."""
    return unit_of_order((price,), code, None, None)


def unit_of_invoice(amount: Decimal | None) -> Unit:
    """Invoices and payments come in the smallest unit; one with a fraction cannot be that."""
    return Unit.MAJOR if amount is not None and amount % 1 else Unit.MINOR


def in_major(amount: Decimal | None, unit: Unit, code: str | None) -> Decimal | None:
    """The amount in major units; None if it was not sent or its unit is not known. Nothing is nothing in any unit."""
    decimals = places(code)
    if amount is None:
        return None
    if unit is Unit.MINOR and decimals is not None:
        amount = amount.scaleb(-decimals)
    elif unit is not Unit.MAJOR and amount:
        return None
    if decimals is None and amount == round(amount, _MOST_PLACES):
        return amount
    return amount.quantize(Decimal(1).scaleb(-(_MOST_PLACES if decimals is None else decimals)), ROUND_HALF_UP)


def bounds(amount: Decimal, unit: Unit, code: str | None) -> tuple[Decimal, Decimal]:
    """The least and the most that an amount can be in major units; the same twice where its unit is known."""
    known = in_major(amount, unit, code)
    if known is not None:
        return known, known
    decimals = places(code)
    return amount.scaleb(-(_MOST_PLACES if decimals is None else decimals)), amount


def for_people(sent: Decimal | None, unit: Unit, code: str | None) -> str | None:
    """An amount as people write it: $64.99, ¥500, 12.50 CHF; with a remark where the unit is not known."""
    if sent is None:
        return None
    amount = in_major(sent, unit, code)
    if amount is None:
        doubt = _UNITS.get(code or "", "the unit is") + " not known"
        return f"{sent:f} {code} ({doubt})" if code else f"{sent:f} (the unit and the currency are not known)"
    return _written(amount, code)


def _written(amount: Decimal, code: str | None) -> str:
    decimals = places(code)
    if decimals is None:
        exponent = amount.as_tuple().exponent
        decimals = max(2, -exponent if isinstance(exponent, int) else 0) if amount % 1 else 0
    sign, digits = "-" if amount < 0 else "", f"{abs(amount):,.{decimals}f}"
    symbol = _SYMBOLS.get(code or "")
    if symbol:
        return f"{sign}{symbol}{digits}"
    return f"{sign}{digits} {code}" if code else f"{sign}{digits}"
