"""How a fact reads as text."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

LONGEST_TEXT = 20_000  # characters of a filled-in field
_MOST_DIGITS = 30


class MappingError(ValueError):
    """A template cannot be filled in. Its text is a sentence for the merchant and holds no fact's value."""


def as_text(value: Any) -> str:
    """A value as a merchant would write it: 64.99, yes, 2026-07-24 12:00 UTC; nothing for None.

    Raises MappingError for a group of values.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | Decimal):
        return _number_as_text(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ", ".join(as_text(each) for each in value)
    if isinstance(value, Mapping):
        raise MappingError("This is a group of facts, not one: name the fact inside it.")
    raise MappingError("This cannot be written as text.")


def _storable(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    # JSON can hold half a character and a zero byte; databases and services refuse both.
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _number_as_text(value: float | Decimal) -> str:
    try:
        number = Decimal(str(value))
    except ValueError:
        raise MappingError("This number is too long.") from None
    # Never 6.499E+1; but 1E+1000000 written out would fill the memory.
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        return str(number)
    return format(number, "f")
