"""Makes the runs of what was kept while a recipe was off, once the merchant has asked for it, a part at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, literal_column, select
from sqlmodel import Session, col

from recipes.batches import insert_rows
from recipes.db import Lock, one_at_a_time
from recipes.definition import readable
from recipes.engine.fanning_out import Cook, run_of, states_of_first
from recipes.engine.undone import undone_since
from recipes.events import EVENT_TYPES, names_that_run
from recipes.models import (
    Event,
    Kept,
    Merchant,
    OffPeriod,
    Origin,
    Recipe,
    RecipeVersion,
    Run,
    RunsOn,
    RunState,
    Standing,
)

_RUN = Run.__table__  # type: ignore[attr-defined]
LOOK = 500
LOOK_TO_COUNT = 20_000
_ROW = (
    col(Event.id),
    col(Event.type),
    col(Event.subject),
    col(Event.occurred_at),
    col(Event.received_at),
    col(Event.merchant_id),
)


def has_kept_work(session: Session) -> bool:
    """Whether kept events are to be run: a look that takes no lock."""
    return session.execute(_running().limit(1)).first() is not None


def make_kept_runs(session: Session, *, now: datetime, limit: int = 25) -> int:
    """Makes the next runs, `limit` at the most, of one recipe's kept events, in the events' order; their number.

    What has been undone since is left out: it gets a run that is cancelled at once and says why, so that it is found
    and can be run all the same. Short: it looks at a bounded number of events however many there are.
    """
    # As fan-out is: two engines would make the same runs.
    one_at_a_time(session, Lock.FAN_OUT)
    found = session.execute(_running().order_by(col(OffPeriod.id)).limit(1)).first()
    if found is None:
        return 0
    period, recipe, version = found
    cook = Cook(recipe, version.id, readable(version.definition))
    states = states_of_first(session, [cook.definition])
    events = _next_events(session, recipe, period, LOOK)
    among_them = _kept(recipe, period).where(col(Event.id).in_([event.id for event in events]))
    kept = set(session.execute(among_them).scalars())
    rows: list[dict[str, Any]] = []
    for event in events:
        if len(rows) == limit:
            break
        period.next_event_id = event.id + 1
        if event.id in kept:
            rows.append(_row(session, event, cook, states, now))
    else:
        if len(events) < LOOK:
            period.kept = Kept.DONE
    insert_rows(session.connection(), _RUN, rows)
    left_out = sum(row["state"] == RunState.CANCELLED for row in rows)
    period.made += len(rows) - left_out
    period.left_out += left_out
    session.flush()
    return len(rows)


def _row(session: Session, event: Any, cook: Cook, states: Mapping[int, str], now: datetime) -> dict[str, Any]:
    row = run_of(session, event, cook, states, now)
    said = undone_since(session, session.get_one(Event, event.id), now=now)
    if said:
        row |= {"state": RunState.CANCELLED, "outcome": f"Left out: {said}", "finished_at": now}
    return row


def _running() -> Any:
    return (
        select(OffPeriod, Recipe, RecipeVersion)
        .join(Recipe, col(Recipe.id) == col(OffPeriod.recipe_id))
        .join(
            RecipeVersion,
            (col(RecipeVersion.recipe_id) == col(Recipe.id)) & (col(RecipeVersion.version) == col(Recipe.version)),
        )
        .join(Merchant, col(Merchant.id) == col(Recipe.merchant_id))
        # Written out: SQLite uses the partial index only for its own words.
        .where(col(OffPeriod.kept) == literal_column(f"'{Kept.RUNNING}'"), col(Merchant.suspended_at).is_(None))
    )


def _next_events(session: Session, recipe: Recipe, period: OffPeriod, limit: int) -> Sequence[Any]:
    """The next `limit` events, kept or not, that have a name which the recipe runs for; in the order they came."""
    # Name by name: for several at once SQLite would sort all that there are.
    found = [row for each in _names(recipe) for row in session.execute(_page(recipe, period, each, limit, *_ROW))]
    return sorted(found, key=lambda event: event.id)[:limit]


def count_kept(session: Session, recipe: Recipe, period: OffPeriod, *, most: int) -> int:
    """How many events were kept in the period and have not run since; `most` + 1 if there are more.

    Quick: it looks at the first 20,000 events of the recipe's type since the period began.
    """
    counted = 0
    for each in _names(recipe):
        looked_at = _page(recipe, period, each, LOOK_TO_COUNT, col(Event.id)).subquery()
        kept = _kept(recipe, period).where(col(Event.id).in_(select(looked_at.c.id))).limit(most + 1)
        counted += session.execute(select(func.count()).select_from(kept.subquery())).scalar_one()
    return min(counted, most + 1)


def _names(recipe: Recipe) -> list[str]:
    return [each.name for each in EVENT_TYPES if recipe.event_type in names_that_run(each.name)]


def _page(recipe: Recipe, period: OffPeriod, name: str, limit: int, *columns: Any) -> Any:
    return (
        select(*columns)
        .where(
            col(Event.merchant_id) == recipe.merchant_id,
            col(Event.type) == name,
            col(Event.id) >= period.next_event_id,
        )
        .order_by(col(Event.id))
        .limit(limit)
    )


def _kept(recipe: Recipe, period: OffPeriod) -> Any:
    has_run = exists().where(col(Run.event_id) == col(Event.id), col(Run.recipe_id) == recipe.id)
    kept = select(col(Event.id)).where(
        col(Event.received_at) >= period.since,
        col(Event.standing) == Standing.READY,
        col(Event.origin) != Origin.SAMPLE,
        ~has_run,
    )
    if period.until is not None:
        kept = kept.where(col(Event.received_at) < period.until)
    return kept if recipe.runs_on == RunsOn.BOTH else kept.where(col(Event.mode) == recipe.runs_on)
