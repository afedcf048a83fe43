"""A run for every recipe that is on for an event."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlmodel import Session, col

from recipes.definition import Definition
from recipes.engine.lanes import lane_of
from recipes.events import names_that_run
from recipes.models import (
    DUE_STATES,
    Connection,
    ConnectionState,
    Event,
    Recipe,
    RecipeVersion,
    Run,
    RunsOn,
    RunState,
    among,
)

_EVENT = Event.__table__  # type: ignore[attr-defined]
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
class _Cook:
    """A recipe that is on, with the version in use."""

    recipe: Recipe
    version_id: int
    definition: Definition


def has_work(session: Session, now: datetime) -> bool:
    """Whether an event waits to be fanned out or a run is due: a look that takes no lock."""
    if session.execute(select(_EVENT.c.id).where(_EVENT.c.fanned_out_at.is_(None)).limit(1)).first():
        return True
    due = select(col(Run.id)).where(among(col(Run.state), DUE_STATES), col(Run.due_at) <= now)
    return session.execute(due.limit(1)).first() is not None


def fan_out(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Makes the runs for up to `limit` events, oldest first; the number of events. Safe to repeat."""
    events = session.execute(
        select(*_TO_FAN_OUT).where(_EVENT.c.fanned_out_at.is_(None)).order_by(_EVENT.c.id).limit(limit)
    ).all()
    if not events:
        return 0
    cooks = _cooks(session, {event.merchant_id for event in events})
    paused = _paused(session, cooks.values())
    rows = [
        _run(event, cook, paused, now)
        for event in events
        for name in names_that_run(event.type)
        for cook in cooks.get((event.merchant_id, name), ())
        if _takes(cook.recipe, event)
    ]
    if rows:
        session.connection().execute(insert(Run), rows)
    session.execute(update(Event).where(col(Event.id).in_([event.id for event in events])).values(fanned_out_at=now))
    return len(events)


def _cooks(session: Session, merchants: Iterable[int]) -> Mapping[tuple[int, str], Sequence[_Cook]]:
    found = session.execute(
        select(Recipe, RecipeVersion)
        .join(
            RecipeVersion,
            (col(RecipeVersion.recipe_id) == col(Recipe.id)) & (col(RecipeVersion.version) == col(Recipe.version)),
        )
        .where(col(Recipe.merchant_id).in_(merchants), col(Recipe.enabled))
        .order_by(col(Recipe.id))
    ).all()
    cooks: dict[tuple[int, str], list[_Cook]] = defaultdict(list)
    for recipe, version in found:
        definition = Definition.model_validate(version.definition)
        cooks[recipe.merchant_id, recipe.event_type].append(_Cook(recipe, version.id, definition))
    return cooks


def _paused(session: Session, cooks: Iterable[Sequence[_Cook]]) -> set[int]:
    used = {cook.definition.steps[0].connection_id for group in cooks for cook in group}
    found = session.execute(
        select(col(Connection.id)).where(
            col(Connection.id).in_([each for each in used if each is not None]),
            col(Connection.state) == ConnectionState.PAUSED,
        )
    )
    return set(found.scalars())


def _takes(recipe: Recipe, event: Any) -> bool:
    if recipe.runs_on not in (RunsOn.BOTH, event.mode):
        return False
    # What came while the recipe was off stays stored and is not run behind the merchant's back.
    return recipe.enabled_at is None or event.received_at >= recipe.enabled_at


def _run(event: Any, cook: _Cook, paused: set[int], now: datetime) -> dict[str, Any]:
    step = cook.definition.steps[0]
    return {
        "merchant_id": event.merchant_id,
        "event_id": event.id,
        "recipe_id": cook.recipe.id,
        "version_id": cook.version_id,
        "again": 0,
        "connection_id": step.connection_id,
        "lane": lane_of(step, subject=event.subject, event_id=event.id),
        "order_at": event.occurred_at,
        "state": RunState.HELD if step.connection_id in paused else RunState.QUEUED,
        "step": 0,
        "attempt": 0,
        "doubt": False,
        "due_at": now,
        "outcome": "",
        "created_at": now,
    }
