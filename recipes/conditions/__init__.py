"""Conditions: rows of a fact, an operator and a value, each of which reads as an English sentence. No language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recipes.conditions.operators import OPEN, OPERATORS, Operator, number, operator_named
from recipes.definition import Condition
from recipes.events import EVENT_TYPES, Fact, event_type
from recipes.mapping import MappingError, as_text, fact_problem

__all__ = ["OPEN", "OPERATORS", "Operator", "Verdict", "evaluate", "problems", "sentence"]

_LONGEST_SHOWN = 80
# One vocabulary for all events: a fact's label and kind are the same wherever it comes.
_FACTS = {fact.name: fact for each in EVENT_TYPES for fact in each.facts}


@dataclass(frozen=True)
class Verdict:
    """Whether an event passes, the sentence for the run, and each condition's own sentence with how it fell out."""

    matches: bool
    sentence: str
    rows: tuple[tuple[str, bool], ...] = ()


def evaluate(match: Literal["all", "any"], conditions: Sequence[Condition], facts: Mapping[str, Any]) -> Verdict:
    """Tries the conditions on an event's facts. Without any, every event passes."""
    if not conditions:
        return Verdict(True, "There are no conditions.")
    rows = tuple(_row(condition, facts) for condition in conditions)
    missed = "; ".join(text for text, holds in rows if not holds)
    if match == "any" and any(holds for _, holds in rows):
        return Verdict(True, "At least one condition holds.", rows)
    if not missed:
        return Verdict(True, "The conditions hold.", rows)
    what = "none of the conditions holds: " if match == "any" and len(rows) > 1 else "it runs only if "
    return Verdict(False, f"Skipped: {what}{missed}.", rows)


def sentence(condition: Condition, event: str) -> str:
    """A condition of a recipe for `event` in English, without a full stop: "the order amount is at least 50"."""
    known = event_type(event)
    return _sentence(condition, _FACTS.get(condition.fact) if known else None)


def problems(condition: Condition, event: str, payload_examples: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """What is wrong with a condition of a recipe for `event`, in sentences."""
    unknown = fact_problem(condition.fact, event, payload_examples)
    if unknown:
        return [unknown]
    fact = _FACTS.get(condition.fact)
    kind = fact.kind if fact else OPEN
    operator = operator_named(condition.operator, kind)
    if operator is None:
        ways = ", ".join(each.title for each in OPERATORS[kind])
        return [f"Choose how to compare {condition.fact}: {ways}."]
    value = condition.value.strip()
    if operator.needs_value and not value:
        return [f"Say what {condition.fact} is compared with."]
    if operator.is_numeric and number(value) is None:
        return [f"“{value}” is not a number: write it like 50 or 49.90."]
    return []


def _sentence(condition: Condition, fact: Fact | None) -> str:
    operator = operator_named(condition.operator, fact.kind if fact else OPEN)
    title = operator.title if operator else condition.operator
    value = "" if operator and not operator.needs_value else condition.value.strip()
    return f"{_subject(condition.fact, fact)} {title} {value}".rstrip()


def _subject(name: str, fact: Fact | None) -> str:
    if fact is None:
        return name
    label = fact.label
    if fact.kind == "yes_no":
        return f"“{label}”"
    small = label if label[1:2].isupper() else label[:1].lower() + label[1:]
    return small if small.startswith("your ") else f"the {small}"


def _row(condition: Condition, facts: Mapping[str, Any]) -> tuple[str, bool]:
    fact = _FACTS.get(condition.fact)
    text = _sentence(condition, fact)
    actual = _look_up(condition.fact, facts)
    try:
        written = as_text(actual)
    except MappingError:
        return f"{text}, but that is a group of facts", False
    kind = fact.kind if fact else OPEN
    if actual is None and kind in ("number", "money", "yes_no"):
        return f"{text}, but {_why_unknown(condition.fact, facts)}", False
    operator = operator_named(condition.operator, kind)
    if operator and operator.holds(written, condition.value):
        return text, True
    return f"{text}, but {_what_it_was(fact, written)}", False


def _what_it_was(fact: Fact | None, written: str) -> str:
    if not written:
        return "the event does not say"
    shown = written if len(written) <= _LONGEST_SHOWN else f"{written[:_LONGEST_SHOWN]}…"
    return f"the answer was {shown}" if fact and fact.kind == "yes_no" else f"it was {shown}"


def _why_unknown(name: str, facts: Mapping[str, Any]) -> str:
    group = _look_up(name.rpartition(".")[0], facts) or {}
    # There is something to show people, so an amount was sent; only its unit is open.
    is_sent = group.get("total") is not None or group.get("price_text") is not None
    if is_sent and False in (group.get("amount_known"), group.get("price_known")):
        return "Pocketsflow did not say whether it is in cents or in whole units"
    return "the event does not say"


def _look_up(name: str, facts: Mapping[str, Any]) -> Any:
    value: Any = facts
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
