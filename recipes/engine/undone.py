"""Whether what a run is about has been undone since. Quick however many events there are."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from recipes.batches import rows_with_pairs
from recipes.events.reading import Reading, read
from recipes.events.undoing import RETURNS, Later, Undone, undone
from recipes.intake import memory_name
from recipes.models import Event, IdentityMemory, Merchant, Origin, Standing

logger = logging.getLogger(__name__)

_MOST_RETURNS = 20
_UNCLEAR = "We cannot tell whether this was undone since. Running this again may give access back, or take it away."
_MEMORY = IdentityMemory.__table__  # type: ignore[attr-defined]
_AHEAD, _READ = "memories", "readings"
_is_sample = col(Event.origin) == Origin.SAMPLE


def undone_since(session: Session, event: Event, *, now: datetime) -> str | None:
    """What has undone the event since and what running it again may do, as sentences; None if it stands.

    Says so, too, where it cannot be told.
    """
    try:
        found = _look(session, event)
    except SQLAlchemyError:
        raise
    except Exception:
        # Whoever asks has others to look after, and the merchant can decide.
        logger.exception("whether event %s was undone since cannot be told", event.id)
        return _UNCLEAR
    return f"{_sentence(session, event, found, now)} {found.beware}" if found else None


def taken_since(session: Session, event: Event, *, now: datetime) -> str | None:
    """What has since taken from the buyer what the event gave, as a sentence; None if nothing has.

    Raises whatever an event or a memory meets that makes no sense.
    """
    found = _look(session, event)
    return _sentence(session, event, found, now) if found and found.took else None


def reversed_since(session: Session, event: Event, *, now: datetime) -> str | None:
    """What has since undone the event for its own order or subscription, as a sentence; None if nothing has.

    What the buyer does with another one undoes no record of this one. Raises as `taken_since` does.
    """
    found = _look(session, event, ())
    return _sentence(session, event, found, now) if found else None


def _look(session: Session, event: Event, later: Iterable[Later] | None = None) -> Undone | None:
    """later: the buyer's later sales or starts; None to look them up."""
    reading = session.info.get(_READ, {}).get(event.id) or read_again(event)
    if reading.payload is None:
        return None
    later = _returns(session, event) if later is None else later
    return undone(event.type, reading.payload, memory_of(session, event, reading), later)


def _sentence(session: Session, event: Event, found: Undone, now: datetime) -> str:
    on = f" on {day_of(session, event.merchant_id, found.at, now)}" if found.at else ""
    return f"{found.happened}{on}."


def read_again(event: Event) -> Reading:
    """A stored event as it was read when it came."""
    return read(event.body, event_header=event.type, timestamp_header=None, received_at=event.received_at)


def memory_of(session: Session, event: Event, reading: Reading) -> dict[str, Any] | None:
    """What is remembered now of the order or the subscription that an event is about; None if nothing is."""
    name = memory_name(reading, event.origin)
    return remembered(session, event.endpoint_id, name) if name else None


def remembered(session: Session, endpoint_id: int, name: str) -> dict[str, Any] | None:
    """What is remembered now under that name; None if nothing is."""
    known = session.info.get(_AHEAD, {})
    if (endpoint_id, name) in known:
        found: dict[str, Any] | None = known[endpoint_id, name]
        return found
    kept = session.get(IdentityMemory, (endpoint_id, name))
    return kept.memory if kept else None


def of_the_buyer(event: Event) -> tuple[ColumnElement[bool], ...]:
    """The conditions for all events of the same buyer that run: at the same endpoint, real ones or samples as it is.

    The merchant is the endpoint's, and named for the index by the buyer, which begins so.
    """
    return (
        col(Event.merchant_id) == event.merchant_id,
        col(Event.endpoint_id) == event.endpoint_id,
        col(Event.subject) == event.subject,
        col(Event.standing) == Standing.READY,
        _is_sample if event.origin == Origin.SAMPLE else ~_is_sample,
    )


def look_ahead(session: Session, events: Sequence[Event]) -> None:
    """Looks up together what will be asked one by one: whether each of these events was undone.

    Kept for as long as the session, which is one transaction's.
    """
    readings = []
    for event in events:
        with suppress(Exception):  # one that cannot be read is told of where it is asked about
            readings.append((event, read_again(event)))
    session.info.setdefault(_READ, {}).update((event.id, reading) for event, reading in readings)
    remember(session, readings)


def remember(session: Session, readings: Iterable[tuple[Event, Reading]]) -> None:
    """The same for events that were read again already."""
    known = session.info.setdefault(_AHEAD, {})
    named = {(event.endpoint_id, memory_name(reading, event.origin)) for event, reading in readings}
    places = sorted((endpoint_id, name) for endpoint_id, name in named if name and (endpoint_id, name) not in known)
    if places:
        pair = (_MEMORY.c.endpoint_id, _MEMORY.c.about)
        found = rows_with_pairs(session.connection(), pair, places, _MEMORY.c.memory)
        known |= dict.fromkeys(places) | {(row.endpoint_id, row.about): row.memory for row in found}


def _returns(session: Session, event: Event) -> Iterator[Later]:
    """The buyer's later sales or starts, the latest first, whichever of them came in before this event."""
    name = RETURNS.get(event.type)
    if name is None or event.subject is None:
        return
    found = (
        select(Event)
        .where(*of_the_buyer(event), Event.type == name, col(Event.occurred_at) > event.occurred_at)
        .order_by(col(Event.occurred_at).desc(), col(Event.id).desc())
        .limit(_MOST_RETURNS)
    )
    for later in session.exec(found):
        reading = read_again(later)
        if reading.payload is not None:
            yield Later(reading.payload, later.occurred_at, memory_of(session, later, reading))


def day_of(session: Session, merchant_id: int, at: datetime, now: datetime) -> str:
    """The day on the merchant's calendar, such as "24 July"; with the year if that is not the present one."""
    zone = ZoneInfo(session.get_one(Merchant, merchant_id).time_zone)
    there = at.astimezone(zone)
    return f"{there.day} {there:%B}" if there.year == now.astimezone(zone).year else f"{there.day} {there:%B %Y}"
