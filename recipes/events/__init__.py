"""The events that Pocketsflow sends: what they are called, what they mean, what they can say."""

from collections.abc import Mapping
from types import MappingProxyType

from recipes.events.catalogue import PAYMENTS, PEOPLE, PRODUCTS, RENEWALS, SALES, SUBSCRIPTIONS
from recipes.events.kinds import EventType, Fact

__all__ = ["EVENT_TYPES", "EventType", "Fact", "canonical", "event_type", "names_that_run"]

EVENT_TYPES: tuple[EventType, ...] = (*SALES, *PEOPLE, *SUBSCRIPTIONS, *RENEWALS, *PAYMENTS, *PRODUCTS)

_BY_NAME: Mapping[str, EventType] = MappingProxyType({each.name: each for each in EVENT_TYPES})
_ALIASES: Mapping[str, str] = MappingProxyType({"customer.subscription.paused": "customer.subscription.pause"})


def canonical(name: str) -> str:
    """The one name of an event: `customer.subscription.paused` is `….pause`. An unknown name stays as it is."""
    name = name.strip()
    lowered = name.lower()
    lowered = _ALIASES.get(lowered, lowered)
    return lowered if lowered in _BY_NAME else name


def event_type(name: str) -> EventType | None:
    """The event type of this name or alias; None if it is none of the 20."""
    return _BY_NAME.get(name) or _BY_NAME.get(canonical(name))


def names_that_run(name: str) -> tuple[str, ...]:
    """For which events' recipes an event of this name runs: its own, and its twin's.

    Of twins only the first to arrive is kept, so a recipe for either has to run on it.
    """
    known = event_type(name)
    if known is None:
        return (name,)
    return (known.name, known.twin) if known.twin else (known.name,)
