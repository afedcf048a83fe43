"""What is wrong with a template, found when it is saved rather than when the next event comes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from liquid import BoundTemplate

from integrations.kit import plain
from recipes.events import event_type
from recipes.events.facts import facts_of, without_private_links
from recipes.mapping import liquid
from recipes.mapping.filters import FILTERS
from recipes.mapping.sentences import TOO_DEEP, no_such_fact, no_such_filter
from recipes.mapping.values import MappingError

_METADATA = f"{liquid.OPEN_GROUP}.metadata."
_PRIVATE = (".portalurl", ".portal_url")
_SINGLE_BRACES = re.compile(r"\{\s*([a-z_]+(?:\.[A-Za-z_]+)*)\s*\}")


def problems(template: str, event: str, payload_examples: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """A sentence for each thing that would make the template fail, or say nonsense, at an event of type `event`.

    Of `payload` any path is fine that the event's sample or one of the examples has, and all of its metadata.
    """
    try:
        return _static(liquid.parse(template), _Known(event, payload_examples)) or _trial(template, event)
    except MappingError as error:
        return [str(error)]
    except RecursionError:
        return [TOO_DEEP]


def _static(parsed: BoundTemplate, known: "_Known") -> list[str]:
    found = [no_such_filter(name, FILTERS) for name in liquid.filters_of(parsed) if name not in FILTERS]
    found += [sentence for name in liquid.facts_of(parsed) if (sentence := known.problem(name))]
    found += [
        f"Write {{{{ {name} }}}} with two braces on each side."
        for name in _SINGLE_BRACES.findall(liquid.written_text(parsed))
        if name in known.names
    ]
    return found


def fact_problem(name: str, event: str, payload_examples: Sequence[Mapping[str, Any]] = ()) -> str | None:
    """A sentence if an event of type `event` has no fact of this name; None if it has."""
    return _Known(event, payload_examples).problem(name)


class _Known:
    """The names that an event of one type knows: its facts, and what was seen in payloads."""

    def __init__(self, event: str, payload_examples: Sequence[Mapping[str, Any]] = ()) -> None:
        known = event_type(event)
        self.names = [fact.name for fact in known.facts] if known else []
        payloads = (*([known.sample()] if known else []), *payload_examples)
        self._open = list(dict.fromkeys(path for payload in payloads for path in _seen(payload)))

    def problem(self, name: str) -> str | None:
        """A sentence if no fact has this name."""
        if name.lower().endswith(_PRIVATE):
            return f"{name} is the buyer's private link: recipes cannot use it."
        if name in self.names or name.startswith(_METADATA):
            return None
        inside = [each for each in (*self.names, *self._open) if each.startswith(f"{name}.")]
        if inside:
            return f"{name} is a group of facts: choose one of them, such as {inside[0]}."
        return None if name in self._open else no_such_fact(name, (*self.names, *self._open))


def _seen(payload: Mapping[str, Any]) -> Iterator[str]:
    return _paths(without_private_links(payload), liquid.OPEN_GROUP)


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in pairs:
            yield f"{path}.{key}"
            yield from _paths(inner, f"{path}.{key}")


def _trial(template: str, event: str) -> list[str]:
    known = event_type(event)
    if known is None:
        return [f"There is no event called {event}."]
    facts = facts_of(event, known.sample(), occurred_at=datetime(2026, 1, 1, tzinfo=UTC), test_mode=True)
    liquid.fill(template, facts, plain)
    return []
