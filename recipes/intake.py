"""Turns a batch of deliveries into events, identity keys claimed in the same transaction."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, bindparam, text, update
from sqlmodel import Session

from recipes import jobs
from recipes.batches import insert_rows, rows_with_pairs
from recipes.db import Lock, is_postgresql, one_at_a_time, upsert
from recipes.events.identity import about, identify
from recipes.events.keys import Identity, Key
from recipes.events.reading import Reading, read
from recipes.models import Event, IdentityKey, IdentityMemory, Origin, RejectedDelivery, Standing
from recipes.spool import Delivery

logger = logging.getLogger(__name__)

_CHUNK = 400
_EVENT = Event.__table__  # type: ignore[attr-defined]
_KEY = IdentityKey.__table__  # type: ignore[attr-defined]
_MEMORY = IdentityMemory.__table__  # type: ignore[attr-defined]
_REJECTED = RejectedDelivery.__table__  # type: ignore[attr-defined]
_UNREAD_WINDOW = timedelta(minutes=10)

# Samples have keys and memories of their own: one with a real order's id must not stand in for that order.
_SAMPLES = "sample:"

_Memory = dict[str, Any] | None


@dataclass(slots=True)
class _Arrival:
    """A delivery with what was read from it."""

    delivery: Delivery
    reading: Reading
    about: tuple[int, str] | None
    identity: Identity
    is_new: bool = True
    event_id: int = 0


class Intake:
    """One batch on its way in. Deliveries are looked at in their order: a later one sees what an earlier claimed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = session.connection()
        self._memories: dict[tuple[int, str], _Memory] = {}
        self._changed: set[tuple[int, str]] = set()
        # Every key looked up so far: when it ends (None: never) and whether the database has it; absent: not claimed.
        self._until: dict[tuple[int, str], datetime | None] = {}
        self._looked_up: set[tuple[int, str]] = set()
        self._in_database: set[tuple[int, str]] = set()

    def take(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Stores what is new. For each delivery: whether it was."""
        # Until this transaction ends no other receiver judges what these endpoints sent: what is looked up here is all
        # there is, and an endpoint's events are numbered in the order in which they are committed.
        one_at_a_time(self._session, Lock.INTAKE, {delivery.endpoint_id for delivery in deliveries})
        arrivals = self._read(deliveries)
        for arrival in arrivals:
            self._decide(arrival)
        self._write([arrival for arrival in arrivals if arrival.is_new])
        return [arrival.is_new for arrival in arrivals]

    def take_unread(self, delivery: Delivery) -> bool:
        """Stores a delivery that broke its interpretation, as unreadable; whether it is new."""
        one_at_a_time(self._session, Lock.INTAKE, {delivery.endpoint_id})
        digest = hashlib.sha256(delivery.body).hexdigest()
        reading = Reading(
            type="unknown",
            standing=Standing.UNREADABLE,
            reason="We could not make sense of this delivery. It is kept as it came.",
            payload=None,
            subject=None,
            occurred_at=delivery.received_at,
        )
        key = Key(f"unread:{digest}", delivery.received_at + _UNREAD_WINDOW)
        arrival = _Arrival(delivery, reading, None, Identity(keys=(key,), memory=None))
        self._look_up([arrival])
        self._decide(arrival)
        if arrival.is_new:
            self._write([arrival])
        return arrival.is_new

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, deliveries: Sequence[Delivery]) -> list[_Arrival]:
        readings = [
            read(
                delivery.body,
                event_header=delivery.event_header,
                timestamp_header=delivery.timestamp_header,
                received_at=delivery.received_at,
            )
            for delivery in deliveries
        ]
        places = [_place(delivery, reading) for delivery, reading in zip(deliveries, readings, strict=True)]
        self._remember({place for place in places if place})
        arrivals = [
            _Arrival(delivery, reading, place, self._identify(delivery, reading, place))
            for delivery, reading, place in zip(deliveries, readings, places, strict=True)
        ]
        self._look_up(arrivals)
        return arrivals

    def _identify(self, delivery: Delivery, reading: Reading, place: tuple[int, str] | None) -> Identity:
        memory = self._memories.get(place) if place else None
        found = identify(reading, delivery.body, received_at=delivery.received_at, memory=memory)
        if delivery.origin != Origin.SAMPLE:
            return found
        return replace(found, keys=tuple(replace(key, text=_SAMPLES + key.text) for key in found.keys))

    def _remember(self, places: set[tuple[int, str]]) -> None:
        for row in self._rows((_MEMORY.c.endpoint_id, _MEMORY.c.about), places, _MEMORY.c.memory):
            self._memories[row.endpoint_id, row.about] = row.memory

    def _look_up(self, arrivals: Sequence[_Arrival]) -> None:
        wanted = {
            (arrival.delivery.endpoint_id, key.text) for arrival in arrivals for key in arrival.identity.keys
        } - self._looked_up
        for row in self._rows((_KEY.c.endpoint_id, _KEY.c.key), wanted, _KEY.c.until):
            self._until[row.endpoint_id, row.key] = row.until
            self._in_database.add((row.endpoint_id, row.key))
        self._looked_up |= wanted

    def _rows(self, pair: tuple[Column[int], Column[str]], wanted: set[tuple[int, str]], more: Column[Any]) -> Any:
        for part in _chunks(sorted(wanted)):
            yield from rows_with_pairs(self._connection, pair, part, more)

    # ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────

    def _decide(self, arrival: _Arrival) -> None:
        if arrival.about in self._changed:
            # An earlier delivery of this batch changed what we know: identify anew with that.
            arrival.identity = self._identify(arrival.delivery, arrival.reading, arrival.about)
            self._look_up([arrival])
        endpoint_id = arrival.delivery.endpoint_id
        received_at = arrival.delivery.received_at
        if any(self._is_claimed(endpoint_id, key, received_at) for key in arrival.identity.keys):
            arrival.is_new = False
            return
        for key in arrival.identity.keys:
            self._until[endpoint_id, key.text] = key.until
        if arrival.about and arrival.identity.memory is not None:
            self._memories[arrival.about] = arrival.identity.memory
            self._changed.add(arrival.about)

    def _is_claimed(self, endpoint_id: int, key: Key, at: datetime) -> bool:
        place = (endpoint_id, key.text)
        if key.noted or place not in self._until:
            return False
        until = self._until[place]
        # Measured at the delivery's own time: a batch that waited in the spool is judged as if it had not.
        return until is None or at < until

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, arrivals: Sequence[_Arrival]) -> None:
        if not arrivals:
            return
        for event_id, arrival in zip(self._numbers(len(arrivals)), arrivals, strict=True):
            arrival.event_id = event_id
        insert_rows(self._connection, _EVENT, [_event_row(arrival) for arrival in arrivals])
        self._write_keys(arrivals)
        self._write_memories()
        jobs.look_soon(self._session)

    def _numbers(self, count: int) -> Sequence[int]:
        """So many new events' numbers, rising. Numbering the events here makes one statement of many: asked to return
        ids in order, SQLite would insert row by row. A number is never given twice, also when the newest events are
        deleted."""
        if is_postgresql(self._connection):
            drawn = text("SELECT nextval(pg_get_serial_sequence('event', 'id')) FROM generate_series(1, :count)")
            # Another receiver, for other endpoints, may draw some in between.
            return sorted(self._connection.execute(drawn, {"count": count}).scalars())
        # SQLite's lock is held, so nobody else counts on.
        last = self._connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'event'").scalar()
        first = int(last or 0) + 1
        return range(first, first + count)

    def _write_keys(self, arrivals: Sequence[_Arrival]) -> None:
        rows = {
            (arrival.delivery.endpoint_id, key.text): (arrival.event_id, key.until)
            for arrival in arrivals
            for key in arrival.identity.keys
        }
        fresh = [
            {"endpoint_id": place[0], "key": place[1], "event_id": event_id, "until": until}
            for place, (event_id, until) in rows.items()
            if place not in self._in_database
        ]
        insert_rows(self._connection, _KEY, fresh)
        claimed_anew = [
            {"at": place[0], "text": place[1], "event": event_id, "ends": until}
            for place, (event_id, until) in rows.items()
            if place in self._in_database
        ]
        if claimed_anew:
            statement = (
                update(_KEY)
                .where(_KEY.c.endpoint_id == bindparam("at"), _KEY.c.key == bindparam("text"))
                .values(event_id=bindparam("event"), until=bindparam("ends"))
            )
            self._connection.execute(statement, claimed_anew)

    def _write_memories(self) -> None:
        rows = [
            {"endpoint_id": place[0], "about": place[1], "memory": self._memories[place]} for place in self._changed
        ]
        if rows:
            statement = upsert(self._connection, _MEMORY)
            statement = statement.on_conflict_do_update(
                index_elements=["endpoint_id", "about"], set_={"memory": statement.excluded.memory}
            )
            self._connection.execute(statement, rows)


def memory_name(reading: Reading, origin: str) -> str | None:
    """The name under which an endpoint remembers what the event is about; None if that is nothing to remember."""
    name = about(reading)
    return _SAMPLES + name if name and origin == Origin.SAMPLE else name


def _place(delivery: Delivery, reading: Reading) -> tuple[int, str] | None:
    """Where the memory lies that identifying the delivery needs."""
    name = memory_name(reading, delivery.origin)
    return (delivery.endpoint_id, name) if name else None


def add_counts(session: Session, counted: Mapping[tuple[int, str], tuple[int, datetime, datetime]]) -> None:
    """Adds up refused and odd deliveries: by endpoint and reason, how many, the first time and the last."""
    rows = [
        {"endpoint_id": endpoint_id, "reason": reason, "count": count, "first_at": first_at, "last_at": last_at}
        for (endpoint_id, reason), (count, first_at, last_at) in counted.items()
    ]
    statement = upsert(session.connection(), _REJECTED)
    statement = statement.on_conflict_do_update(
        index_elements=["endpoint_id", "reason"],
        set_={"count": _REJECTED.c.count + statement.excluded.count, "last_at": statement.excluded.last_at},
    )
    session.connection().execute(statement, rows)


def _event_row(arrival: _Arrival) -> dict[str, Any]:
    delivery, reading = arrival.delivery, arrival.reading
    late = arrival.identity.late
    standing, reason = (Standing.SUSPICIOUS, late) if late else (reading.standing, reading.reason)
    return {
        "id": arrival.event_id,
        "merchant_id": delivery.merchant_id,
        "endpoint_id": delivery.endpoint_id,
        "mode": delivery.mode,
        "type": reading.type,
        "origin": delivery.origin,
        "standing": standing,
        "standing_reason": reason,
        "subject": reading.subject,
        "occurred_at": reading.occurred_at,
        "received_at": delivery.received_at,
        "body": delivery.body,
        # What cannot run needs no fan-out; it is done with as soon as it is stored.
        "fanned_out_at": None if standing == Standing.READY else delivery.received_at,
    }


def _chunks(places: Sequence[tuple[int, str]]) -> list[Sequence[tuple[int, str]]]:
    return [places[start : start + _CHUNK] for start in range(0, len(places), _CHUNK)]
