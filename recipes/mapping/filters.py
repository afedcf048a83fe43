"""The filters that a template may use. They know decimals and times, and none can blow a text up."""

import urllib.parse
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from recipes.mapping.values import MappingError, as_text

# An event's body is at most 256 kB, so any fact fits; what is built from facts has to as well.
_LONGEST = 300_000
_MATHS = Context(prec=28, rounding=ROUND_HALF_UP)
_MOST_DECIMALS = 10


def _checked_length(length: int) -> None:
    if length > _LONGEST:
        raise MappingError("The text gets too long.")


def _default(value: Any, instead: Any = "") -> Any:
    is_blank = value is None or value is False or (isinstance(value, str | list | Mapping) and not value)
    return instead if is_blank else value


def _text_filter(change: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: change(as_text(value))


def _append(value: Any, end: Any) -> str:
    text, more = as_text(value), as_text(end)
    _checked_length(len(text) + len(more))
    return text + more


def _prepend(value: Any, start: Any) -> str:
    return _append(start, value)


def _replace(value: Any, old: Any, new: Any = "") -> str:
    text, sought, put = as_text(value), as_text(old), as_text(new)
    _checked_length(len(text) + text.count(sought) * (len(put) - len(sought)))
    return text.replace(sought, put)


def _remove(value: Any, old: Any) -> str:
    return _replace(value, old, "")


def _truncate(value: Any, length: Any = 50, end: Any = "...") -> str:
    text, ending, most = as_text(value), as_text(end), _whole("truncate", length)
    return text if len(text) <= most else text[: max(0, most - len(ending))] + ending


def _split(value: Any, separator: Any) -> list[str]:
    return as_text(value).split(as_text(separator) or None)


def _join(value: Any, separator: Any = " ") -> str:
    parts, between = [as_text(each) for each in _list(value)], as_text(separator)
    _checked_length(sum(len(part) + len(between) for part in parts))
    return between.join(parts)


def _first(value: Any) -> Any:
    return next(iter(_list(value)), None)


def _last(value: Any) -> Any:
    return next(reversed(_list(value)), None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list | Mapping) else len(as_text(value))


def _number(name: str, value: Any) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        number = Decimal(as_text(value).strip())
    except InvalidOperation:
        raise MappingError(f"{name} works with numbers only.") from None
    if not number.is_finite():
        raise MappingError(f"{name} works with numbers only.")
    return number


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != number.to_integral_value() or abs(number) > _LONGEST:
        raise MappingError(f"{name} needs a whole number.")
    return int(number)


def _maths(name: str, compute: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Any, Any], Decimal | None]:
    def apply(value: Any, other: Any) -> Decimal | None:
        if value is None:
            return None  # what the event does not say stays unsaid
        try:
            return compute(_number(name, value), _number(name, other))
        except InvalidOperation:
            raise MappingError(f"{name} does not work with these numbers.") from None

    return apply


def _divide(value: Decimal, by: Decimal) -> Decimal:
    if by == 0:
        raise MappingError("Nothing can be divided by 0.")
    return _MATHS.divide(value, by)


def _round(value: Any, decimals: Any = 0) -> Decimal | None:
    if value is None:
        return None
    places = _whole("round", decimals)
    if not 0 <= places <= _MOST_DECIMALS:
        raise MappingError(f"round keeps 0 to {_MOST_DECIMALS} decimals.")
    try:
        return _number("round", value).quantize(Decimal(1).scaleb(-places), context=_MATHS)
    except InvalidOperation:
        raise MappingError("round does not work with a number of this size.") from None


def _date(value: Any, pattern: Any) -> str:
    if value is None or value == "":
        return ""
    moment = value
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
        if isinstance(moment, date):
            return moment.strftime(as_text(pattern))
    except ValueError:
        pass
    raise MappingError('date needs a time and how to write it, such as: occurred_at | date: "%Y-%m-%d".')


FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "append": _append,
        "capitalize": _text_filter(str.capitalize),
        "date": _date,
        "default": _default,
        "divided_by": _maths("divided_by", _divide),
        "downcase": _text_filter(str.lower),
        "first": _first,
        "join": _join,
        "last": _last,
        "minus": _maths("minus", _MATHS.subtract),
        "plus": _maths("plus", _MATHS.add),
        "prepend": _prepend,
        "remove": _remove,
        "replace": _replace,
        "round": _round,
        "size": _size,
        "split": _split,
        "strip": _text_filter(str.strip),
        "times": _maths("times", _MATHS.multiply),
        "truncate": _truncate,
        "upcase": _text_filter(str.upper),
        "url_encode": _text_filter(urllib.parse.quote_plus),
    }
)
