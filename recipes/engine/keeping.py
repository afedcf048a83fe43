"""Whether a recipe was on when an event came. What came while it was off is kept, and offered to the merchant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from recipes.models import Endpoint, Event, Kept, OffPeriod, Recipe


def was_on(recipe: Recipe, off: Sequence[OffPeriod], event: Any) -> bool:
    """Whether the event came while the recipe was on. off: its periods that may hold the time of the event.

    Where the merchant had the kept events run and that is done, one that comes in only now, from the spool, runs too.
    """
    if event.received_at < recipe.created_at:
        return False
    return all(
        period.kept == Kept.DONE and event.id >= period.next_event_id
        for period in off
        if period.since <= event.received_at and (period.until is None or event.received_at < period.until)
    )


def begin(session: Session, recipe: Recipe, now: datetime) -> None:
    """The recipe is off from now on. What was being run of an earlier such time waits to be offered again."""
    session.execute(
        update(OffPeriod)
        .where(col(OffPeriod.recipe_id) == recipe.id, col(OffPeriod.kept) == Kept.RUNNING)
        .values(kept=Kept.OFFERED, decided_at=None)
    )
    if recipe.id is None:
        raise ValueError("the recipe is not stored yet")
    session.add(OffPeriod(recipe_id=recipe.id, since=now, next_event_id=_first_event_id(session, recipe, now)))
    session.flush()


def end(session: Session, recipe: Recipe, now: datetime) -> None:
    """The recipe is on from now on."""
    session.execute(
        update(OffPeriod).where(col(OffPeriod.recipe_id) == recipe.id, col(OffPeriod.until).is_(None)).values(until=now)
    )


def forget_unmade(session: Session, recipe: Recipe) -> None:
    """Takes the recipe, which is off, for off since it was last switched on: no event from then gets a run any more."""
    present = select(OffPeriod).where(OffPeriod.recipe_id == recipe.id, col(OffPeriod.until).is_(None))
    off = session.exec(present).first()
    if off is not None and recipe.enabled_at is not None and recipe.enabled_at < off.since:
        session.add(OffPeriod(recipe_id=off.recipe_id, since=recipe.enabled_at, until=off.since, kept=Kept.LEFT))
        session.flush()


def _first_event_id(session: Session, recipe: Recipe, now: datetime) -> int:
    """The first event, by its number, that was received at `now` or after, though it may not have come yet."""
    endpoints = select(Endpoint.id).where(Endpoint.merchant_id == recipe.merchant_id)
    first = session.exec(
        select(func.min(Event.id)).where(col(Event.endpoint_id).in_(endpoints), col(Event.received_at) >= now)
    ).one()
    if first is not None:
        return first
    return (session.exec(select(func.max(Event.id))).one() or 0) + 1
