"""Whether something else gives the buyer what a step is about to take, and whether a later event said otherwise.

A buyer switches plans, and the new subscription starts before the old one ends; or the end of an old one comes late.
What counts is what runs say (engine/words.py), and for events that are forgotten what was noted of them as gifts.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import String, and_, cast, or_
from sqlalchemy import select as columns
from sqlmodel import Session, col

from integrations import integration, kit
from recipes.batches import is_one_of
from recipes.definition import Definition, Step, readable
from recipes.engine.gifts import gifts_of
from recipes.engine.left_out import steps_left_out
from recipes.engine.undone import day_of, memory_of, of_the_buyer, read_again
from recipes.engine.words import Said, Word, action_of, other_connections, rights, said_by, words_of
from recipes.events.identity import about
from recipes.events.undoing import ENDINGS, undone
from recipes.models import Event, Recipe, RecipeVersion, Run, RunState

# Of one buyer, of recipes that give or take the like.
_MOST_RUNS = 200


class CannotBeTold(Exception):
    """There is too much to look at while others wait."""


def still_given(session: Session, event: Event, step: Step, *, now: datetime) -> str | None:
    """Why what the step takes because of the event is still the buyer's, as a sentence; None if nothing gives it.

    None as well if the step takes nothing, and if what it takes cannot be told, which it says itself when it is done.
    Raises CannotBeTold, and whatever an event or a memory meets that makes no sense.
    """
    action = action_of(step)
    if action is None or not action.takes or event.type not in ENDINGS or event.subject is None:
        return None
    reading = read_again(event)
    taken = rights(event, reading, step, action)
    if reading.payload is None or not taken:
        return None
    since = undone(event.type, reading.payload, memory_of(session, event, reading), ())
    if since and not since.took:
        return f"{since.happened}."
    others, are_all = _others(session, event, step, frozenset(action.takes))
    words = [word for _, word, found in words_of(session, others) if not found.isdisjoint(taken)]
    if are_all:
        # Looked up last: what is forgotten meanwhile is noted by then.
        words += gifts_of(session, event, step, action, taken)
    latest = _latest_in_force(words, about(reading))
    if latest is None and not are_all:
        raise CannotBeTold(f"the buyer has more than {_MOST_RUNS} runs that give or take the same")
    if latest is None:
        return None
    first = min(word.since for word in latest)
    return _sentence(latest[0].holder, day_of(session, event.merchant_id, first, now) if are_all else None)


def overruled(session: Session, event: Event, step: Step, *, now: datetime) -> str | None:
    """What a later event of the same order or subscription did to the contrary, as a sentence; None if none did.

    A pause undoes no start, as the buyer may keep access. But where the merchant's own recipe took it then, a step that
    comes to give it only now, as it had to wait, would be done in the wrong order; and the other way round. What is not
    done yet does not count: it comes after this one. Raises as `still_given` does.
    """
    action = action_of(step)
    giving = _given_alike(step, action) if action else frozenset()
    if action is None or not giving or event.subject is None:
        return None
    later, are_all = _others(session, event, step, giving, only_later=True)
    reading = read_again(event) if later else None
    own = rights(event, reading, step, action) if reading else frozenset()
    if reading is None or not own:
        return None
    words = [
        word
        for _, word, found in words_of(session, [each for each in later if _is_done(each)])
        if word.holder == about(reading) and not word.left_out and not found.isdisjoint(own)
    ]
    last = max(words, key=attrgetter("at", "event_id"), default=None)
    if last is None and not are_all:
        raise CannotBeTold(f"the buyer has more than {_MOST_RUNS} later runs that give or take the same")
    if last is None or last.gives == (action.name in giving):
        return None
    day = day_of(session, event.merchant_id, last.at, now)
    return f"The buyer was given this since, on {day}." if last.gives else f"This was taken from the buyer on {day}."


def _given_alike(step: Step, action: kit.Action) -> frozenset[str]:
    """The actions, by name, that give what this one takes, or what those take that take what this one gives."""
    taking = [action] if action.takes else [t for t in integration(step.app).actions if action.name in t.takes]
    return frozenset(name for each in taking for name in each.takes)


def _is_done(said: Said) -> bool:
    return said.run.step > said.number or said.run.state in (RunState.SUCCEEDED, RunState.UNSURE)


def _latest_in_force(words: Sequence[Word], own: str | None) -> Sequence[Word] | None:
    """All that was said because of the holder that gave last of those that give still, `own` left out."""
    by_holder: dict[str, list[Word]] = defaultdict(list)
    for word in sorted(words, key=attrgetter("at", "event_id")):
        if word.holder != own:
            by_holder[word.holder].append(word)
    in_force = [each for each in by_holder.values() if each[-1].gives and not each[-1].is_over]
    return max(in_force, key=lambda each: each[-1].at, default=None)


def _sentence(holder: str, day: str | None) -> str:
    if holder.startswith("subscription:"):
        return f"The buyer also has a subscription{f', since {day},' if day else ''} that gives the same."
    return f"The buyer also has an order{f', of {day},' if day else ''} that gives the same."


def _others(
    session: Session, event: Event, step: Step, giving: Collection[str], *, only_later: bool = False
) -> tuple[list[Said], bool]:
    """The steps of the buyer's other runs that give or take the like, on the same connection or one that is gone.

    giving: the actions that give it, by name. And whether those are all, or only the latest: of each order and
    subscription among them its last word is there.
    """
    alike = {each.name for each in integration(step.app).actions if _is_like(each, giving)}
    definitions = _definitions(session, event.merchant_id, step.app, alike)
    if not definitions:
        return [], True
    is_later = or_(
        col(Event.occurred_at) > event.occurred_at,
        and_(col(Event.occurred_at) == event.occurred_at, col(Event.id) > event.id),
    )
    found = session.execute(
        columns(col(Run.id), col(Run.event_id), col(Run.version_id), col(Run.state), col(Run.step))
        .join(Event, col(Event.id) == col(Run.event_id))
        .where(*of_the_buyer(event), is_later if only_later else col(Event.id) != event.id)
        .where(is_one_of(session.connection(), col(Run.version_id), definitions))
        .order_by(col(Event.occurred_at).desc(), col(Event.id).desc(), col(Run.id).desc())
        .limit(_MOST_RUNS + 1)
    ).all()
    looked_at = found[:_MOST_RUNS]
    left_out = steps_left_out(session, [run.id for run in looked_at])

    def gives(each: Step, other: kit.Action) -> bool | None:
        return other.name in giving if each.app == step.app and other.name in alike else None

    said = [s for run in looked_at for s in said_by(run, definitions[run.version_id], left_out[run.id], gives)]
    elsewhere = other_connections(session, step, {each.step.connection_id for each in said})
    return [each for each in said if each.step.connection_id not in elsewhere], len(found) == len(looked_at)


def _definitions(session: Session, merchant_id: int, app: str, names: Collection[str]) -> Mapping[int, Definition]:
    """The merchant's versions of recipes, by their id, that have a step which does one of these.

    Kept for as long as the session, which is one transaction's: many runs of a store ask for the same.
    """
    known: dict[Any, Mapping[int, Definition]] = session.info.setdefault("versions_alike", {})
    key = (merchant_id, app, *sorted(names))
    if key not in known:
        known[key] = _find_definitions(session, merchant_id, app, names)
    return known[key]


def _find_definitions(session: Session, merchant_id: int, app: str, names: Collection[str]) -> Mapping[int, Definition]:
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


def _is_like(other: kit.Action, giving: Collection[str]) -> bool:
    return other.name in giving or not set(other.takes).isdisjoint(giving)
