"""What needs the merchant, each with a sentence and with what mends it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import exists, func, literal_column
from sqlmodel import Session, col, select

from integrations import integration
from recipes.endpoints import EARLIER_SECRET, TOO_LARGE, on_earlier_secret
from recipes.events import event_type
from recipes.ledger.leaving import is_left
from recipes.ledger.quiet import SilenceKind, silences
from recipes.ledger.times import day
from recipes.models import (
    OPEN_STATES,
    TROUBLED_STATES,
    Connection,
    ConnectionState,
    Endpoint,
    Event,
    Merchant,
    Mode,
    Origin,
    Recipe,
    RejectedDelivery,
    Run,
    RunState,
    Standing,
    among,
)

RECENT = timedelta(days=7)


class Fix(StrEnum):
    """What mends it, and with which of the item's ids."""

    RECONNECT = "reconnect"  # connection_id
    SET_SECRET = "set_secret"  # noqa: S105 - a word; endpoint_id, mode
    LOOK_AT_RUNS = "look_at_runs"  # recipe_id, run_id (the latest), state
    LOOK_AT_EVENT = "look_at_event"  # event_id
    LOOK_AT_ADDRESS = "look_at_address"  # endpoint_id, mode
    LOOK_AT_RECIPE = "look_at_recipe"  # recipe_id
    LOOK_AT_WAITING = "look_at_waiting"


_OTHER_SECRET = "Check that the signing secret here is the one that Pocketsflow shows."  # noqa: S105 - a sentence
_TOO_LARGE = "Pocketsflow’s own are far smaller: somebody else may know this address."
_LOOK = {
    SilenceKind.ENGINE: Fix.LOOK_AT_WAITING,
    SilenceKind.STORE: Fix.LOOK_AT_ADDRESS,
    SilenceKind.RECIPE: Fix.LOOK_AT_RECIPE,
}


@dataclass(frozen=True)
class Attention:
    """One thing that needs the merchant. Only the ids that `fix` tells of are set; `count` is how many it is about.

    `note` goes on where the sentence ends: the reason a service gave, or what happens meanwhile.
    """

    kind: str
    sentence: str
    fix: Fix
    note: str = ""
    count: int = 1
    connection_id: int | None = None
    recipe_id: int | None = None
    run_id: int | None = None
    state: str | None = None
    event_id: int | None = None
    endpoint_id: int | None = None
    mode: str | None = None


def needs_attention(session: Session, merchant_id: int, now: datetime) -> list[Attention]:
    """Everything that needs the merchant, the gravest first; empty if all is well."""
    return [
        *_paused_connections(session, merchant_id),
        *_silences(session, merchant_id, now),
        *_endpoints(session, merchant_id, now),
        *_troubled_runs(session, merchant_id, RunState.UNSURE),
        *_troubled_runs(session, merchant_id, RunState.FAILED),
        *_odd_events(session, merchant_id, now),
    ]


def _paused_connections(session: Session, merchant_id: int) -> list[Attention]:
    found = (
        select(Connection, func.count(col(Run.id)))
        .outerjoin(
            Run,
            (col(Run.connection_id) == col(Connection.id))
            & among(col(Run.state), OPEN_STATES)
            & (col(Run.state) == RunState.HELD),
        )
        .where(Connection.merchant_id == merchant_id, Connection.state == ConnectionState.PAUSED)
        .group_by(col(Connection.id))
        .order_by(col(Connection.paused_at))
    )
    return [
        Attention(
            kind="connection_paused",
            sentence=f"Reconnect {_name(connection)}: {_runs(held, 'is waiting', 'are waiting')}."
            if held
            else f"Reconnect {_name(connection)}: its recipes wait until then.",
            note=connection.paused_reason,
            count=held,
            fix=Fix.RECONNECT,
            connection_id=connection.id,
        )
        for connection, held in session.exec(found)
    ]


def _name(connection: Connection) -> str:
    try:
        title = integration(connection.app).title
    except KeyError:
        title = connection.app
    return title if connection.name in (title, connection.app) else f"{title} ({connection.name})"


def _runs(count: int, singular: str, plural: str) -> str:
    return f"1 run {singular}" if count == 1 else f"{count} runs {plural}"


def _silences(session: Session, merchant_id: int, now: datetime) -> list[Attention]:
    return [
        Attention(
            kind=each.kind,
            sentence=each.sentence,
            note=each.note,
            fix=_LOOK[each.kind],
            endpoint_id=each.endpoint_id,
            mode=each.mode,
            recipe_id=each.recipe_id,
        )
        for each in silences(session, merchant_id, now)
    ]


def _endpoints(session: Session, merchant_id: int, now: datetime) -> list[Attention]:
    found = select(Endpoint).where(Endpoint.merchant_id == merchant_id).order_by(col(Endpoint.mode))
    zone = ZoneInfo(session.get_one(Merchant, merchant_id).time_zone)
    items = []
    for endpoint in session.exec(found):
        items += _refused(session, endpoint, zone, now)
        items += _earlier_secret(session, endpoint, zone, now)
        # The test side is for those who want it; nobody is urged to set it up.
        if endpoint.mode == Mode.LIVE and endpoint.secret is None:
            items.append(
                Attention(
                    kind="secret_missing",
                    sentence="Paste Pocketsflow's signing secret: until then only test events get in.",
                    fix=Fix.SET_SECRET,
                    endpoint_id=endpoint.id,
                    mode=endpoint.mode,
                )
            )
    return items


def _refused(session: Session, endpoint: Endpoint, zone: ZoneInfo, now: datetime) -> list[Attention]:
    """What was refused and may go on being refused: not once a later delivery was taken."""
    taken_since = exists().where(
        col(Event.endpoint_id) == endpoint.id,
        col(Event.received_at) > col(RejectedDelivery.last_at),
        col(Event.origin) == Origin.WEBHOOK,
    )
    found = (
        select(RejectedDelivery)
        .where(
            RejectedDelivery.endpoint_id == endpoint.id,
            RejectedDelivery.reason != EARLIER_SECRET,
            col(RejectedDelivery.last_at) >= now - RECENT,
            ~taken_since,
        )
        .order_by(col(RejectedDelivery.last_at).desc())
    )
    return [
        Attention(
            kind="deliveries_refused",
            sentence=f"{_deliveries(refused, endpoint)} since {day(refused.first_at, zone)}: {refused.reason}.",
            note=_TOO_LARGE if refused.reason == TOO_LARGE else _OTHER_SECRET,
            count=refused.count,
            fix=Fix.LOOK_AT_ADDRESS if refused.reason == TOO_LARGE else Fix.SET_SECRET,
            endpoint_id=endpoint.id,
            mode=endpoint.mode,
        )
        for refused in session.exec(found)
    ]


def _earlier_secret(session: Session, endpoint: Endpoint, zone: ZoneInfo, now: datetime) -> list[Attention]:
    counted = on_earlier_secret(session, endpoint)
    if counted is None or endpoint.previous_until is None or endpoint.previous_until <= now:
        return []
    there = endpoint.previous_until.astimezone(zone)
    return [
        Attention(
            kind="earlier_secret",
            sentence="Pocketsflow still signs with an earlier secret than the one pasted last.",
            note=f"Paste the one that it shows for this address. The earlier one is good until {there:%H:%M} on "
            f"{day(endpoint.previous_until, zone)}; after that its deliveries would be refused.",
            count=counted.count,
            fix=Fix.SET_SECRET,
            endpoint_id=endpoint.id,
            mode=endpoint.mode,
        )
    ]


def _deliveries(refused: RejectedDelivery, endpoint: Endpoint) -> str:
    side = "test " if endpoint.mode == Mode.TEST else ""
    return f"1 {side}delivery refused" if refused.count == 1 else f"{refused.count} {side}deliveries refused"


def _troubled_runs(session: Session, merchant_id: int, state: RunState) -> list[Attention]:
    found = (
        select(Recipe.id, Recipe.title, func.count(), func.max(Run.id))
        .join(Run, col(Run.recipe_id) == col(Recipe.id))
        .join(Event, col(Event.id) == col(Run.event_id))
        .where(Run.merchant_id == merchant_id, among(col(Run.state), TROUBLED_STATES), Run.state == state)
        # A sample is looked at by who sends it: nobody waits for what it was to do.
        .where(col(Event.origin) != Origin.SAMPLE)
        .group_by(col(Recipe.id), col(Recipe.title))
        .order_by(func.max(Run.id).desc())
    )
    items = []
    for recipe_id, title, count, latest in session.exec(found).all():
        if state == RunState.UNSURE:
            sentence = f"“{title}”: {_runs(count, 'needs', 'need')} your word."
        else:
            sentence = f"“{title}”: {_runs(count, 'failed', 'failed')}."
        run = session.get_one(Run, latest)
        items.append(
            Attention(
                kind=f"runs_{state}",
                sentence=sentence,
                note=run.outcome,
                count=count,
                fix=Fix.LOOK_AT_RUNS,
                recipe_id=recipe_id,
                run_id=latest,
                state=state,
            )
        )
    return items


def _odd_events(session: Session, merchant_id: int, now: datetime) -> list[Attention]:
    found = (
        select(Event)
        .where(
            Event.merchant_id == merchant_id,
            # Written out: SQLite uses the partial index only for its own words.
            col(Event.standing) == literal_column(f"'{Standing.SUSPICIOUS}'"),
            col(Event.received_at) >= now - RECENT,
            col(Event.origin) != Origin.SAMPLE,
            ~is_left(),
        )
        .order_by(col(Event.id).desc())
        .limit(5)
    )
    return [
        Attention(
            kind="event_suspicious",
            sentence=f"{_title(event)} did not run: {event.standing_reason}",
            fix=Fix.LOOK_AT_EVENT,
            event_id=event.id,
        )
        for event in session.exec(found)
    ]


def _title(event: Event) -> str:
    known = event_type(event.type)
    of = f" of {event.subject}" if event.subject else ""
    return f"“{known.title if known else event.type}”{of}"
