"""The ways to compare a fact with what a merchant wrote. Texts compare without regard to case and outer blanks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

# The fact's value as text and what it is compared with; the same text twice where there is nothing to compare with.
Test = Callable[[str, str], bool]


@dataclass(frozen=True)
class Operator:
    """A way to compare. `title` stands between the fact's label and the value; some need no value."""

    name: str
    title: str
    holds: Test
    needs_value: bool = True
    is_numeric: bool = False


def number(text: str) -> Decimal | None:
    """A number as a merchant writes it (50, 49.90), None for anything else."""
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _plain(text: str) -> str:
    return text.strip().casefold()


def _texts(name: str, title: str, holds: Test) -> Operator:
    return Operator(name, title, lambda actual, value: holds(_plain(actual), _plain(value)))


def _numbers(name: str, title: str, holds: Callable[[Decimal, Decimal], bool]) -> Operator:
    def both(actual: str, value: str) -> bool:
        left, right = number(actual), number(value)
        return left is not None and right is not None and holds(left, right)

    return Operator(name, title, both, is_numeric=True)


def _alone(name: str, title: str, holds: Callable[[str], bool]) -> Operator:
    return Operator(name, title, lambda actual, _: holds(_plain(actual)), needs_value=False)


def _is_one_of(actual: str, values: str) -> bool:
    return actual in {value.strip() for value in values.split(",")}


_TEXT = (
    _texts("is", "is", lambda actual, value: actual == value),
    _texts("is_not", "is not", lambda actual, value: actual != value),
    _texts("contains", "contains", lambda actual, value: value in actual),
    _texts("does_not_contain", "does not contain", lambda actual, value: value not in actual),
    _texts("starts_with", "starts with", lambda actual, value: actual.startswith(value)),
    _texts("is_one_of", "is one of", _is_one_of),
)
_EMPTY = (
    _alone("is_empty", "is empty", lambda actual: not actual),
    _alone("is_not_empty", "is not empty", bool),
)
_ORDER = (
    _numbers("at_least", "is at least", lambda actual, value: actual >= value),
    _numbers("at_most", "is at most", lambda actual, value: actual <= value),
    _numbers("more_than", "is more than", lambda actual, value: actual > value),
    _numbers("less_than", "is less than", lambda actual, value: actual < value),
)
_NUMBER = (
    _numbers("is", "is", lambda actual, value: actual == value),
    _numbers("is_not", "is not", lambda actual, value: actual != value),
    *_ORDER,
)
_YES_NO = (
    _alone("is_yes", "is yes", lambda actual: actual in ("yes", "true")),
    _alone("is_no", "is no", lambda actual: actual in ("no", "false")),
)
OPEN = "open"

OPERATORS: Mapping[str, tuple[Operator, ...]] = MappingProxyType(
    {
        "text": (*_TEXT, *_EMPTY),
        "number": _NUMBER,
        "money": _NUMBER,
        "yes_no": _YES_NO,
        "time": _EMPTY,
        # payload.…: nobody knows beforehand what it holds.
        OPEN: (*_TEXT, *_ORDER, *_YES_NO, *_EMPTY),
    }
)


def operator_named(name: str, kind: str) -> Operator | None:
    """The operator of this name for facts of a kind; None if there is none."""
    return next((each for each in OPERATORS.get(kind, ()) if each.name == name), None)
