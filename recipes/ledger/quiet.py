"""What has gone quiet: a store, a recipe, the engine. Quick however much there is; over when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlmodel import Session, col, select

from recipes.events import EVENT_TYPES, EventType, event_type, names_that_run
from recipes.ledger.times import day, span
from recipes.ledger.waiting import stopped_since
from recipes.models import Endpoint, Event, Merchant, Mode, Origin, Recipe, RejectedDelivery, Run, RunState
from recipes.silence import HISTORY, MANY, Rhythm, is_quiet, rhythm_of, shortest_pause_that_counts

A_DAY, A_WEEK = timedelta(days=1), timedelta(days=7)
_WINDOW = 500
_LOOK = 20_000


class SilenceKind(StrEnum):
    """What has gone quiet."""

    ENGINE = "engine_quiet"
    STORE = "store_quiet"
    RECIPE = "recipe_quiet"


@dataclass(frozen=True)
class Silence:
    """One thing that has gone quiet. `about` is the same as long as it lasts and never comes again.

    note: what to look at. The ids are those of what is quiet.
    """

    kind: SilenceKind
    about: str
    sentence: str
    note: str
    endpoint_id: int | None = None
    mode: str | None = None
    recipe_id: int | None = None


def silences(session: Session, merchant_id: int, now: datetime) -> list[Silence]:
    """Everything of a store that has gone quiet, the gravest first."""
    merchant = session.get_one(Merchant, merchant_id)
    zone = ZoneInfo(merchant.time_zone)
    store = _store(session, merchant_id, zone, now)
    if merchant.suspended_at is not None:
        return store
    return [*_engine(session, merchant_id, zone, now), *store, *_recipes(session, merchant_id, zone, now, bool(store))]


# ── The engine ───────────────────────────────────────────────────────────────────────────────────────────


def _engine(session: Session, merchant_id: int, zone: ZoneInfo, now: datetime) -> list[Silence]:
    stopped = stopped_since(session, merchant_id, now)
    if stopped is None:
        return []
    there = stopped.since.astimezone(zone)
    return [
        Silence(
            kind=SilenceKind.ENGINE,
            about=f"engine:{stopped.waiting}",
            sentence=f"Nothing is being done: {stopped.what} waiting since {day(there, zone)}, {there:%H:%M}.",
            note="Nothing is lost, and all goes on in order once the engine does. Its log says what keeps it.",
        )
    ]


# ── The store ────────────────────────────────────────────────────────────────────────────────────────────


def _store(session: Session, merchant_id: int, zone: ZoneInfo, now: datetime) -> list[Silence]:
    endpoint = session.exec(
        select(Endpoint).where(Endpoint.merchant_id == merchant_id, Endpoint.mode == Mode.LIVE)
    ).first()
    if endpoint is None or endpoint.id is None or endpoint.secret is None:
        return []
    last = session.exec(_delivered(endpoint.id).order_by(col(Event.received_at).desc()).limit(1)).first()
    if last is None or now - max(last, _refused_at(session, endpoint.id) or last) <= A_DAY:
        return []
    rhythm = _rhythm(session, endpoint.id, last)
    if not is_quiet(rhythm, now, at_least=A_DAY):
        return []
    return [
        Silence(
            kind=SilenceKind.STORE,
            about=f"endpoint:{endpoint.id}:quiet:{last.isoformat()}",
            sentence=f"Nothing has come from Pocketsflow since {day(last, zone)}: "
            f"before, no pause was longer than {span(rhythm.longest)}.",
            note="If your store has sold since, look at Pocketsflow › Developers › Webhooks: whether your delivery "
            "address is still there, and whether its events are chosen.",
            endpoint_id=endpoint.id,
            mode=endpoint.mode,
        )
    ]


def _delivered(endpoint_id: int) -> Any:
    return select(Event.received_at).where(Event.endpoint_id == endpoint_id, Event.origin == Origin.WEBHOOK)


def _refused_at(session: Session, endpoint_id: int) -> datetime | None:
    """When a delivery was refused last: a store whose deliveries are refused is not quiet."""
    return session.exec(
        select(func.max(RejectedDelivery.last_at)).where(RejectedDelivery.endpoint_id == endpoint_id)
    ).one()


def _rhythm(session: Session, endpoint_id: int, last: datetime) -> Rhythm:
    """How deliveries came in the month before the last one; pauses under eight hours are not told apart.

    Goes from one to the last within the next eight hours, so it reads a few hundred rows of however many.
    """
    delivered = _delivered(endpoint_id).where(col(Event.received_at) >= last - HISTORY)
    step = shortest_pause_that_counts(A_DAY)
    count = session.exec(select(func.count()).select_from(delivered.limit(MANY).subquery())).one()
    first = at = session.exec(delivered.order_by(col(Event.received_at)).limit(1)).one()
    longest = step
    while at < last:
        later = delivered.where(col(Event.received_at) > at)
        within = later.where(col(Event.received_at) <= at + step).order_by(col(Event.received_at).desc())
        found = session.exec(within.limit(1)).first()
        if found is None:
            found = session.exec(later.order_by(col(Event.received_at)).limit(1)).one()
            longest = max(longest, found - at)
        at = found
    return Rhythm(count, first, last, longest)


# ── Recipes ──────────────────────────────────────────────────────────────────────────────────────────────


def _recipes(session: Session, merchant_id: int, zone: ZoneInfo, now: datetime, store_is_quiet: bool) -> list[Silence]:
    on = select(Recipe).where(Recipe.merchant_id == merchant_id, col(Recipe.enabled)).order_by(col(Recipe.id))
    found = [_recipe(session, recipe, zone, now, store_is_quiet) for recipe in session.exec(on)]
    return [each for each in found if each is not None]


def _recipe(session: Session, recipe: Recipe, zone: ZoneInfo, now: datetime, store_is_quiet: bool) -> Silence | None:
    was_on_since = recipe.enabled_at or recipe.created_at
    last = _worked(session, recipe, 1)
    if not last or now - max(last[0].created_at, was_on_since) <= A_WEEK:
        return None
    runs = _worked(session, recipe, _WINDOW)
    rhythm = rhythm_of(run.created_at for run in runs if run.created_at >= last[0].created_at - HISTORY)
    if rhythm is None:
        return None
    if len(runs) == _WINDOW:
        # So busy that the window does not reach back far: it has been at work since it was switched on.
        rhythm = Rhythm(
            rhythm.count, min(rhythm.first, max(was_on_since, rhythm.last - HISTORY)), rhythm.last, rhythm.longest
        )
    if not is_quiet(rhythm, now, at_least=A_WEEK):
        return None
    why = _why(session, recipe, last[0].event_id)
    if store_is_quiet and why is None:
        return None  # said already
    return Silence(
        kind=SilenceKind.RECIPE,
        about=f"recipe:{recipe.id}:quiet:{last[0].id}",
        sentence=f"“{recipe.title}” is on and has done nothing since {day(rhythm.last, zone)}: "
        f"before, it did something at least every {span(rhythm.longest)}.",
        note=why or _nothing_came(event_type(recipe.event_type), recipe.event_type),
        recipe_id=recipe.id,
    )


def _worked(session: Session, recipe: Recipe, limit: int) -> Sequence[Any]:
    """The recipe's latest runs for real events which its conditions let through, the latest first.

    Looks at the latest 20,000: one that has let none through for so long has been told of before.
    """
    latest = (
        select(col(Run.id), Run.event_id, Run.created_at, Run.state)
        .where(Run.recipe_id == recipe.id)
        .order_by(col(Run.id).desc())
        .limit(_LOOK)
        .subquery()
    )
    worked = (
        select(latest.c.id, latest.c.event_id, latest.c.created_at)
        .join(Event, col(Event.id) == latest.c.event_id)
        .where(latest.c.state != RunState.SKIPPED, Event.origin != Origin.SAMPLE)
        .order_by(latest.c.id.desc())
        .limit(limit)
    )
    return session.exec(worked).all()


def _why(session: Session, recipe: Recipe, event_id: int) -> str | None:
    """Why nothing was done though events came; None if none came."""
    latest = select(Run.state).where(Run.recipe_id == recipe.id, col(Run.event_id) > event_id)
    if session.exec(latest.order_by(col(Run.id).desc()).limit(1)).first() is not None:
        return "Events of its kind came, and its conditions let none of them through: look whether they still fit."
    for each in EVENT_TYPES:
        if recipe.event_type not in names_that_run(each.name):
            continue
        came = select(Event.id).where(
            Event.merchant_id == recipe.merchant_id,
            Event.type == each.name,
            col(Event.id) > event_id,
            Event.origin != Origin.SAMPLE,
        )
        if session.exec(came.limit(1)).first() is not None:
            return "Events of its kind came, and it took none of them: look whether it is for live or test events."
    return None


def _nothing_came(known: EventType | None, name: str) -> str:
    called = f"“{known.title}” ({name})" if known else name
    return f"No event of its kind has come. Look at Pocketsflow › Developers › Webhooks: whether {called} is chosen."
