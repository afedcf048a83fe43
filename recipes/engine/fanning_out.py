"""A run for every recipe that was on when an event came."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlmodel import Session, col

from recipes.batches import insert_rows, is_one_of
from recipes.db import Lock, one_at_a_time
from recipes.definition import UNREADABLE, Definition, readable
from recipes.engine.delaying import coming_to, has_waits_over, why_not_to_wait
from recipes.engine.keeping import was_on
from recipes.engine.lanes import lane_of
from recipes.engine.suspending import suspended
from recipes.events import names_that_run
from recipes.models import (
    DUE_STATES,
    Connection,
    ConnectionState,
    Event,
    OffPeriod,
    Recipe,
    RecipeVersion,
    Run,
    RunsOn,
    RunState,
    among,
)

logger = logging.getLogger(__name__)

_NO_PLACE = "Something unexpected happened before anything was done. Look at the recipe, then run this again."
_EVENT = Event.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_TO_FAN_OUT = (
    _EVENT.c.id,
    _EVENT.c.merchant_id,
    _EVENT.c.type,
    _EVENT.c.mode,
    _EVENT.c.subject,
    _EVENT.c.occurred_at,
    _EVENT.c.received_at,
)


@dataclass(frozen=True)
class Cook:
    """A recipe with the version in use, and when it was off lately. definition: None if it cannot be read any more."""

    recipe: Recipe
    version_id: int
    definition: Definition | None
    off: Sequence[OffPeriod] = ()


def has_events(session: Session) -> bool:
    """Whether an event waits to be fanned out; those of suspended stores do not count."""
    waiting = _waiting(_EVENT.c.id)
    return session.execute(waiting, {"suspended": suspended(session), "limit": 1}).first() is not None


def has_work(session: Session, now: datetime) -> bool:
    """Whether an event waits to be fanned out, a run is due, or its wait over: a look that takes no lock."""
    if has_events(session) or has_waits_over(session, now):
        return True
    return session.execute(_DUE, {"now": now}).first() is not None


def fan_out(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Makes the runs for up to `limit` events, oldest first; the number of events. Safe to repeat.

    An event runs the recipes that were on when it was received, whatever became of them since. What came while a
    recipe was off stays stored and is not run behind the merchant's back. A suspended store's events wait.
    """
    # By one at a time, or a later event's run could be there, and go, before an earlier one's.
    one_at_a_time(session, Lock.FAN_OUT)
    events = session.execute(_waiting(*_TO_FAN_OUT), {"suspended": suspended(session), "limit": limit}).all()
    if not events:
        return 0
    oldest = min(event.received_at for event in events)
    cooks = _cooks(session, {event.merchant_id for event in events}, oldest)
    states = states_of_first(session, (cook.definition for group in cooks.values() for cook in group))
    rows = [
        run_of(session, event, cook, states, now)
        for event in events
        for name in names_that_run(event.type)
        for cook in cooks.get((event.merchant_id, name), ())
        if takes(cook.recipe, event) and was_on(cook.recipe, cook.off, event)
    ]
    insert_rows(session.connection(), _RUN, rows)
    done = is_one_of(session.connection(), _EVENT.c.id, [event.id for event in events])
    session.execute(update(_EVENT).where(done).values(fanned_out_at=now))
    return len(events)


# The statements of every turn are made once: making one takes longer than asking it.
_DUE = select(_RUN.c.id).where(among(_RUN.c.state, DUE_STATES), _RUN.c.due_at <= bindparam("now")).limit(1)


@cache
def _waiting(*columns: Any) -> Any:
    """Its values: `suspended`, the stores whose events do not count, and `limit`."""
    return (
        select(*columns)
        .where(_EVENT.c.fanned_out_at.is_(None), _EVENT.c.merchant_id.not_in(bindparam("suspended", expanding=True)))
        .order_by(_EVENT.c.id)
        .limit(bindparam("limit"))
    )


@cache
def _lately_off() -> Any:
    """Its values: `merchants`, and `oldest`, when the first of the events came."""
    of_merchants = select(col(Recipe.id)).where(col(Recipe.merchant_id).in_(bindparam("merchants", expanding=True)))
    may_hold_one = or_(col(OffPeriod.until).is_(None), col(OffPeriod.until) > bindparam("oldest"))
    return select(OffPeriod).where(col(OffPeriod.recipe_id).in_(of_merchants), may_hold_one)


@cache
def _on_or_among() -> Any:
    """Its values: `merchants`, and `were_on`, recipes that count though they are off."""
    is_wanted = or_(col(Recipe.enabled), col(Recipe.id).in_(bindparam("were_on", expanding=True)))
    return (
        select(Recipe, RecipeVersion)
        .join(
            RecipeVersion,
            (col(RecipeVersion.recipe_id) == col(Recipe.id)) & (col(RecipeVersion.version) == col(Recipe.version)),
        )
        .where(col(Recipe.merchant_id).in_(bindparam("merchants", expanding=True)), is_wanted)
        .order_by(col(Recipe.id))
    )


def _cooks(session: Session, merchants: Iterable[int], oldest: datetime) -> Mapping[tuple[int, str], Sequence[Cook]]:
    """Every recipe that is on or was on when the oldest event came."""
    off: dict[int, list[OffPeriod]] = defaultdict(list)
    given = {"merchants": list(merchants), "oldest": oldest}
    for period in session.execute(_lately_off(), given).scalars():
        off[period.recipe_id].append(period)
    # One that is off since before the oldest came was on for none of them: most recipes that are off.
    were_on = [
        number
        for number, periods in off.items()
        if not any(each.until is None and each.since <= oldest for each in periods)
    ]
    found = session.execute(_on_or_among(), {"merchants": list(merchants), "were_on": were_on}).all()
    cooks: dict[tuple[int, str], list[Cook]] = defaultdict(list)
    for recipe, version in found:
        cook = Cook(recipe, version.id, readable(version.definition), off[recipe.id])
        cooks[recipe.merchant_id, recipe.event_type].append(cook)
    return cooks


def states_of_first(session: Session, definitions: Iterable[Definition | None]) -> Mapping[int, str]:
    """The states of the connections that the definitions begin with; one that was removed is not among them."""
    firsts = {definition.steps[0].connection_id for definition in definitions if definition}
    used = [each for each in firsts if each is not None]
    if not used:
        return {}
    # Locked, in their order: whoever pauses or reconnects one meanwhile comes after, and finds the runs made here.
    found = session.execute(
        select(col(Connection.id), col(Connection.state))
        .where(is_one_of(session.connection(), col(Connection.id), used))
        .order_by(col(Connection.id))
        .with_for_update(read=True)
    )
    return {connection_id: state for connection_id, state in found if connection_id is not None}


def takes(recipe: Recipe, event: Any) -> bool:
    """Whether the recipe is for the side of the store that the event is of."""
    return recipe.runs_on in (RunsOn.BOTH, event.mode)


def run_of(session: Session, event: Any, cook: Cook, states: Mapping[int, str], now: datetime) -> dict[str, Any]:
    """The row of a new run, at its first step; held if that step's connection is paused by the `states`.

    Where the first step waits, it does so from when its event was received: a time that the merchant knows, and that
    neither a backlog nor a time for which the recipe was off moves. One that its conditions speak against is skipped
    now, and not when its wait is over.

    One that cannot be made has failed as soon as it is there: the merchant sees it, and all others go on. So does, when
    it is performed, one whose connection was removed before it was made.
    """
    row = {
        "merchant_id": event.merchant_id,
        "event_id": event.id,
        "recipe_id": cook.recipe.id,
        "version_id": cook.version_id,
        "again": 0,
        "connection_id": None,
        "lane": f"none:0:#{event.id}",
        "order_at": event.occurred_at,
        "state": RunState.FAILED,
        "step": 0,
        "attempt": 0,
        "doubt": False,
        "due_at": now,
        "outcome": UNREADABLE,
        "created_at": now,
        "finished_at": now,
    }
    if cook.definition is None:
        logger.error("recipe %s cannot be read: its run for event %s has failed", cook.recipe.id, event.id)
        return row
    step = cook.definition.steps[0]
    try:
        lane = lane_of(step, subject=event.subject, event_id=event.id)
    except Exception:
        logger.exception("recipe %s has no place for event %s: its run has failed", cook.recipe.id, event.id)
        return row | {"outcome": _NO_PLACE}
    number = step.connection_id if step.connection_id in states else None
    is_paused = number is not None and states[number] == ConnectionState.PAUSED
    state, due_at = coming_to(step, since=event.received_at, now=now, is_paused=is_paused)
    row |= {"connection_id": number, "lane": lane}
    if state == RunState.DELAYED and cook.definition.conditions:
        said = why_not_to_wait(session.get_one(Event, event.id), cook.definition)
        if said is not None:
            return row | {"state": RunState.SKIPPED, "outcome": said}
    return row | {"state": state, "due_at": due_at, "outcome": "", "finished_at": None}
