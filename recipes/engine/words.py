"""What runs say of a buyer's rights: a step gave something because of an order or a subscription, or took it back.

What counts is what the merchant's own recipes gave: by conditions that hold, with the choices and fields of their
steps. Of each order and subscription its last word counts, as one that gave may have taken since.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlmodel import Session, col, select

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import conditions, mapping
from recipes.definition import Definition, Step
from recipes.engine.undone import memory_of, read_again, remember
from recipes.events.facts import facts_of
from recipes.events.identity import about
from recipes.events.reading import Reading
from recipes.events.refunds import least_paid
from recipes.events.undoing import is_over, undone
from recipes.models import Connection, Event, RunState

Rights = frozenset[tuple[str, ...]]

_NOT_DONE = (RunState.SKIPPED, RunState.CANCELLED, RunState.DELAYED)


@dataclass(frozen=True, slots=True)
class Said:
    """A step of a run that gives or takes. run: has the Run's id, event_id, state and step.

    left_out: it was to be taken, and was not, for what else gave it then: that may be over by now.
    """

    run: Any
    number: int
    step: Step
    action: kit.Action
    gives: bool
    definition: Definition
    left_out: bool


@dataclass(frozen=True, slots=True)
class Word:
    """What was said because of one order or subscription, the holder, and whether that is over.

    at, event_id: its place among others. since: when the holder gave it first, as far as this word knows. paid: for an
    order at the least. left_out: as of the step.
    """

    holder: str
    gives: bool
    at: datetime
    event_id: int
    since: datetime
    paid: Decimal | None
    is_over: bool
    left_out: bool = False


def said_by(
    run: Any,
    definition: Definition,
    steps_left_out: Collection[int],
    gives: Callable[[Step, kit.Action], bool | None],
) -> Iterator[Said]:
    """The run's steps that gave or took, or will. gives: None for a step that is not asked about."""
    for number, step in enumerate(definition.steps):
        action = action_of(step)
        does_give = gives(step, action) if action else None
        if action is None or does_give is None:
            continue
        was_not_done = number in steps_left_out or (run.state in _NOT_DONE and run.step <= number)
        if was_not_done and (does_give or run.state == RunState.CANCELLED):
            continue
        yield Said(run, number, step, action, does_give, definition, left_out=was_not_done)


def words_of(session: Session, said: Sequence[Said]) -> Iterator[tuple[Said, Word, Rights]]:
    """What those steps come to, each with what it is about, in the order of what happened.

    Raises whatever an event or a memory meets that makes no sense.
    """
    found = session.exec(select(Event).where(col(Event.id).in_({each.run.event_id for each in said})))
    events = {each.id or 0: (each, read_again(each)) for each in found}
    remember(session, events.values())
    # One that is not there was forgotten just now, and what it gave is noted as a gift.
    return words_in(session, [each for each in said if each.run.event_id in events], events)


def words_in(
    session: Session, said: Sequence[Said], events: Mapping[int, tuple[Event, Reading]]
) -> Iterator[tuple[Said, Word, Rights]]:
    """The same for steps of these events."""
    ordered = sorted(
        said, key=lambda each: (events[each.run.event_id][0].occurred_at, each.run.event_id, each.run.id, each.number)
    )
    facts: dict[int, Mapping[str, Any]] = {}
    for each in ordered:
        event, reading = events[each.run.event_id]
        word = _word(session, event, reading, each)
        if word is None:
            continue
        # Made once for an event: that takes longer than all the rest.
        known = facts.get(word.event_id) or facts.setdefault(word.event_id, _facts(event, reading))
        verdict = conditions.evaluate(each.definition.match, each.definition.conditions, known)
        found = _rights(known, each.step, each.action) if verdict.matches else None
        if found:
            yield each, word, found


def _word(session: Session, event: Event, reading: Reading, said: Said) -> Word | None:
    holder = about(reading)
    if not holder or reading.payload is None:
        return None
    memory = memory_of(session, event, reading)
    since = undone(event.type, reading.payload, memory, ()) if said.left_out else None
    if since and not since.took:
        return None  # nothing was taken, and nothing would be now
    paid = least_paid(reading.payload) if event.type.startswith("order.") else None
    return Word(
        holder=holder,
        gives=said.gives,
        at=event.occurred_at,
        event_id=said.run.event_id,
        since=event.occurred_at,
        paid=paid,
        is_over=is_over(holder, memory, paid),
        left_out=said.left_out,
    )


def rights(event: Event, reading: Reading, step: Step, action: kit.Action) -> Rights:
    """What the step gives or takes for the event; nothing if that cannot be told."""
    return _rights(_facts(event, reading), step, action)


def _rights(facts: Mapping[str, Any], step: Step, action: kit.Action) -> Rights:
    try:
        values = mapping.render_fields(kit.fields(action.form), step.fields, facts)
        return action.rights_of(kit.validate(action.form, values))
    except (mapping.MappingError, kit.FormError):
        return frozenset()


def _facts(event: Event, reading: Reading) -> Mapping[str, Any]:
    payload = reading.payload or {}
    return facts_of(event.type, payload, occurred_at=event.occurred_at, test_mode=event.is_test)


def action_of(step: Step) -> kit.Action | None:
    """The step's action; None if that is gone, and so neither gives nor takes."""
    try:
        return integration(step.app).action(step.action)
    except (KeyError, Permanent):
        return None


def other_connections(session: Session, step: Step, numbers: Iterable[int | None]) -> set[int | None]:
    """Those that are there and are not the step's. One that was removed counts as its own: what was given stays given,
    and the merchant may have made a new connection to the same account."""
    others = {each for each in numbers if each} - {step.connection_id}
    return set(session.exec(select(Connection.id).where(col(Connection.id).in_(others)))) if others else set()
