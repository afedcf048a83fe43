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

from sqlalchemy import String, cast, or_
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import conditions, mapping
from recipes.batches import is_one_of
from recipes.definition import Definition, Step, readable
from recipes.engine.left_out import steps_left_out
from recipes.engine.undone import day_of, memory_of, of_the_buyer, read_again, remember
from recipes.events.facts import facts_of
from recipes.events.identity import about
from recipes.events.reading import Reading
from recipes.events.undoing import ENDINGS, is_over, undone
from recipes.models import Connection, Event, Recipe, RecipeVersion, Run, RunState

# Of one buyer, of recipes that give or take the like.
_MOST_RUNS = 200
_NOT_DONE = (RunState.SKIPPED, RunState.CANCELLED)


class CannotBeTold(Exception):
    """There is too much to look at while others wait."""


@dataclass(frozen=True, slots=True)
class _Said:
    """A step of another run that is about the same right, and what it says of it.

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
class _Word:
    """What was said of the right because of one order or subscription, and whether that is over."""

    holder: str
    gives: bool
    at: datetime
    is_over: bool


def still_given(session: Session, event: Event, step: Step, *, now: datetime) -> str | None:
    """Why what the step takes because of the event is still the buyer's, as a sentence; None if nothing gives it.

    None as well if the step takes nothing, and if what it takes cannot be told, which it says itself when it is done.
    Raises CannotBeTold, and whatever an event or a memory meets that makes no sense.
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
    definitions = _definitions(session, event.merchant_id, step.app, action)
    if not definitions:
        return []
    found = session.execute(
        columns(col(Run.id), col(Run.event_id), col(Run.version_id), col(Run.state), col(Run.step))
        .join(Event, col(Event.id) == col(Run.event_id))
        .where(*of_the_buyer(event), col(Event.id) != event.id)
        .where(is_one_of(session.connection(), col(Run.version_id), definitions))
        .order_by(col(Event.id).desc(), col(Run.id).desc())
        .limit(_MOST_RUNS + 1)
    ).all()
    if len(found) > _MOST_RUNS:
        raise CannotBeTold(f"the buyer has more than {_MOST_RUNS} runs that give or take the same")
    left_out = steps_left_out(session, [run.id for run in found])
    said = [
        each for run in found for each in _alike(run, definitions[run.version_id], step.app, action, left_out[run.id])
    ]
    others = {each.step.connection_id for each in said} - {step.connection_id}
    there = set(session.exec(select(Connection.id).where(col(Connection.id).in_(others)))) if others else set()
    return [each for each in said if each.step.connection_id not in there]


def _definitions(session: Session, merchant_id: int, app: str, action: kit.Action) -> dict[int, Definition]:
    """The merchant's versions of recipes, by their id, that have a step which gives or takes the like."""
    names = [each.name for each in integration(app).actions if _is_like(each, action)]
    # Most have none, and are not even read. What this finds besides is told from the steps.
    mentions = [cast(col(RecipeVersion.definition), String).contains(f'"{name}"', autoescape=True) for name in names]
    versions = session.execute(
        columns(col(RecipeVersion.id), col(RecipeVersion.definition))
        .join(Recipe, col(Recipe.id) == col(RecipeVersion.recipe_id))
        .where(col(Recipe.merchant_id) == merchant_id, or_(*mentions))
    )
    # What cannot be read any more may have given anything: it counts for nothing.
    known = ((number, definition) for number, stored in versions if (definition := readable(stored)))
    return {number: each for number, each in known if any(s.app == app and s.action in names for s in each.steps)}


def _is_like(other: kit.Action, action: kit.Action) -> bool:
    return other.name in action.takes or not set(other.takes).isdisjoint(action.takes)


def _alike(
    run: Any, definition: Definition, app: str, action: kit.Action, steps_left_out: Collection[int]
) -> Iterator[_Said]:
    for number, each in enumerate(definition.steps):
        other = _action(each) if each.app == app else None
        if other is None or not _is_like(other, action):
            continue
        gives = other.name in action.takes
        was_not_done = number in steps_left_out or (run.state in _NOT_DONE and run.step <= number)
        if was_not_done and (gives or run.state == RunState.CANCELLED):
            continue
        yield _Said(run, number, each, other, gives, definition, left_out=was_not_done)


def _words(session: Session, event: Event, others: Sequence[_Said], taken: Collection[Any]) -> list[_Word]:
    """What the others come to for what is taken, in the order of what happened."""
    found = session.exec(select(Event).where(col(Event.id).in_({each.run.event_id for each in others})))
    events = {each.id: (each, read_again(each)) for each in found}
    remember(session, events.values())
    said = sorted(
        others, key=lambda each: (events[each.run.event_id][0].occurred_at, each.run.event_id, each.run.id, each.number)
    )
    words = []
    for each in said:
        other, reading = events[each.run.event_id]
        holder = about(reading)
        if not holder or reading.payload is None or not _is_about(other, reading, each, taken):
            continue
        memory = memory_of(session, other, reading)
        since = undone(other.type, reading.payload, memory, ()) if each.left_out else None
        if since and not since.took:
            continue  # nothing was taken, and nothing would be now
        words.append(_Word(holder, each.gives, other.occurred_at, is_over(other.type, reading.payload, memory)))
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
