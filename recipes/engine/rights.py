"""Whether something else gives the buyer what a step is about to take: another order, another subscription.

A buyer switches plans, and the new subscription starts before the old one ends; or the end of an old one comes late.
What counts is what the merchant's own recipes gave: by conditions that hold, on the same connection, with the same
choices. Of each order and subscription its last word counts, as one that gave may have taken since.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import conditions, mapping
from recipes.definition import Definition, Step, readable
from recipes.engine.undone import day_of, memory_of, of_the_buyer, read_again
from recipes.events.facts import facts_of
from recipes.events.identity import about
from recipes.events.reading import Reading
from recipes.events.undoing import ENDINGS, is_over, undone
from recipes.models import Connection, Event, RecipeVersion, Run, RunState

# Of one buyer; the latest.
_MOST_RUNS = 200
_NOT_DONE = (RunState.SKIPPED, RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class _Said:
    """A step of another run that is about the same right, and what it says of it."""

    run: Any
    number: int
    step: Step
    action: kit.Action
    gives: bool
    definition: Definition


@dataclass(frozen=True, slots=True)
class _Word:
    """What was said of the right because of one order or subscription, and whether that is over."""

    holder: str
    gives: bool
    at: datetime
    is_over: bool


def still_given(session: Session, event: Event, step: Step, *, now: datetime) -> str | None:
    """Why what the step takes because of the event is still the buyer's, as a sentence; None if nothing gives it.

    None as well if the step takes nothing, and if what it takes cannot be told, which it says itself when it is done.
    """
    action = _action(step)
    if action is None or not action.takes or event.type not in ENDINGS or event.subject is None:
        return None
    reading = read_again(event)
    taken = _rights(event, reading, step, action)
    if reading.payload is None or not taken:
        return None
    since = undone(event.type, reading.payload, memory_of(session, event, reading), ())
    if since and not since.took:
        return f"{since.happened}."
    words: dict[str, list[_Word]] = defaultdict(list)
    for word in _words(session, event, _others(session, event, step, action), taken):
        words[word.holder].append(word)
    words.pop(about(reading) or "", None)
    in_force = [said for said in words.values() if said[-1].gives and not said[-1].is_over]
    if not in_force:
        return None
    latest = max(in_force, key=lambda said: said[-1].at)
    return _sentence(latest, day_of(session, event.merchant_id, latest[0].at, now))


def _sentence(words: Sequence[_Word], day: str) -> str:
    if words[0].holder.startswith("subscription:"):
        return f"The buyer also has a subscription, since {day}, that gives the same."
    return f"The buyer also has an order, of {day}, that gives the same."


def _others(session: Session, event: Event, step: Step, action: kit.Action) -> list[_Said]:
    """The steps of the buyer's other runs that give or take the like, on the same connection or one that is gone."""
    found = session.execute(
        columns(col(Run.id), col(Run.event_id), col(Run.version_id), col(Run.state), col(Run.step))
        .join(Event, col(Event.id) == col(Run.event_id))
        .where(*of_the_buyer(event), col(Event.id) != event.id)
        .order_by(col(Event.id).desc(), col(Run.id).desc())
        .limit(_MOST_RUNS)
    ).all()
    versions = select(RecipeVersion).where(col(RecipeVersion.id).in_({run.version_id for run in found}))
    definitions = {each.id: readable(each.definition) for each in session.exec(versions)}
    # What cannot be read any more may have given anything: it counts for nothing.
    known = [(run, definition) for run in found if (definition := definitions[run.version_id])]
    said = [each for run, definition in known for each in _alike(run, definition, step.app, action)]
    others = {each.step.connection_id for each in said} - {step.connection_id}
    there = set(session.exec(select(Connection.id).where(col(Connection.id).in_(others)))) if others else set()
    return [each for each in said if each.step.connection_id not in there]


def _alike(run: Any, definition: Definition, app: str, action: kit.Action) -> Iterator[_Said]:
    for number, each in enumerate(definition.steps):
        other = _action(each) if each.app == app else None
        if other is None or (run.state in _NOT_DONE and run.step <= number and not _is_kept(run, other)):
            continue
        gives = other.name in action.takes
        if gives or set(other.takes) & set(action.takes):
            yield _Said(run, number, each, other, gives, definition)


def _is_kept(run: Any, action: kit.Action) -> bool:
    """Whether it was to be taken, and was not, for what else gave it then: that may be over by now."""
    return bool(action.takes) and run.state == RunState.SKIPPED


def _words(session: Session, event: Event, others: Sequence[_Said], taken: Collection[Any]) -> list[_Word]:
    """What the others come to for what is taken, in the order of what happened."""
    found = session.exec(select(Event).where(col(Event.id).in_({each.run.event_id for each in others})))
    events = {each.id: (each, read_again(each)) for each in found}
    said = sorted(
        others, key=lambda each: (events[each.run.event_id][0].occurred_at, each.run.event_id, each.run.id, each.number)
    )
    words = []
    for each in said:
        other, reading = events[each.run.event_id]
        holder = about(reading)
        if holder and reading.payload is not None and _is_about(other, reading, each, taken):
            over = is_over(other.type, reading.payload, memory_of(session, other, reading))
            words.append(_Word(holder, each.gives, other.occurred_at, over))
    return words


def _is_about(event: Event, reading: Reading, said: _Said, taken: Collection[Any]) -> bool:
    definition = said.definition
    verdict = conditions.evaluate(definition.match, definition.conditions, _facts(event, reading))
    return verdict.matches and not _rights(event, reading, said.step, said.action).isdisjoint(taken)


def _rights(event: Event, reading: Reading, step: Step, action: kit.Action) -> frozenset[tuple[str, ...]]:
    try:
        values = mapping.render_fields(kit.fields(action.form), step.fields, _facts(event, reading))
        return action.rights_of(kit.validate(action.form, values))
    except (mapping.MappingError, kit.FormError):
        return frozenset()


def _facts(event: Event, reading: Reading) -> Mapping[str, Any]:
    payload = reading.payload or {}
    return facts_of(event.type, payload, occurred_at=event.occurred_at, test_mode=event.is_test)


def _action(step: Step) -> kit.Action | None:
    try:
        return integration(step.app).action(step.action)
    except (KeyError, Permanent):
        return None  # the action is gone: it neither gives nor takes
