"""Notes of what events that are forgotten gave: what an order or a subscription gives a buyer until it is over.

A note says less than an event does: not who the buyer is, and not what it is about.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, delete
from sqlalchemy import select as columns
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from integrations import kit
from recipes.db import upsert
from recipes.definition import Step
from recipes.engine.undone import remembered
from recipes.engine.words import Rights, Said, Word, other_connections
from recipes.events.undoing import is_over
from recipes.models import Connection, Event, Gift, Origin

logger = logging.getLogger(__name__)

_HASH_LENGTH = 32
_HOLDERS = ("refunds:", "subscription:")
_GIFT = Gift.__table__  # type: ignore[attr-defined]
# What a row is found by at its endpoint, and what it says.
_PLACE = ("name", "connection_id", "holder")
_WHEN = ("since", "given_at", "event_id", "paid")
_TAKE_OUT = delete(_GIFT).where(*(_GIFT.c[name] == bindparam(f"its_{name}") for name in ("endpoint_id", *_PLACE)))
_Place = tuple[str, int, str]
_Row = dict[str, Any]
Told = tuple[Said, Word, Rights]


def gifts_of(session: Session, event: Event, step: Step, action: kit.Action, taken: Rights) -> list[Word]:
    """What gave the buyer what the step takes, on its connection or one that is gone, by events that are forgotten."""
    if event.origin == Origin.SAMPLE or event.subject is None:
        return []
    names = [_name(event.subject, step.app, giving, right) for giving in action.takes for right in taken]
    there = select(Gift).where(Gift.endpoint_id == event.endpoint_id, col(Gift.name).in_(names))
    gifts = session.exec(there).all()
    elsewhere = other_connections(session, step, {gift.connection_id for gift in gifts})
    return [_word(session, gift) for gift in gifts if gift.connection_id not in elsewhere]


def _word(session: Session, gift: Gift) -> Word:
    return Word(
        holder=gift.holder,
        gives=True,
        at=gift.given_at,
        event_id=gift.event_id,
        since=gift.since,
        paid=_paid(gift),
        is_over=_is_over(session, gift),
    )


def _is_over(session: Session, gift: Gift) -> bool:
    return is_over(gift.holder, remembered(session, gift.endpoint_id, gift.holder), _paid(gift))


def _paid(gift: Gift) -> Decimal | None:
    return None if gift.paid is None else Decimal(gift.paid)


def _name(subject: str, app: str, giving: str, right: tuple[str, ...]) -> str:
    """One right of one buyer: what a giving action of a service gave them."""
    named = json.dumps([subject, app, giving, *right])
    return hashlib.sha256(named.encode()).hexdigest()[:_HASH_LENGTH]


def enter(session: Session, endpoint_id: int, subjects: Mapping[int, str], told: Iterable[Told]) -> None:
    """Notes what was given last, and takes out what was taken since.

    subjects: whom the events are about, by their ids. told: what their runs gave and took, in the order of the events.
    """
    placed = [
        (place, word)
        for said, word, rights in told
        if word.holder.startswith(_HOLDERS)
        for place in _places(subjects[word.event_id], said, word, rights)
    ]
    before = _noted(session, endpoint_id, {place[0] for place, _ in placed})
    gone = _removed(session, {place[1] for place in before})
    after = dict(before)
    for place, word in placed:
        name, connection_id, holder = place
        if word.gives:
            after[place] = _given(after.get(place), word)
            continue
        for number in {connection_id, *gone}:
            row = after.get((name, number, holder))
            if row and (row["given_at"], row["event_id"]) <= (word.at, word.event_id):
                del after[name, number, holder]
    _write(session, endpoint_id, before, after)


def _write(session: Session, endpoint_id: int, before: Mapping[_Place, _Row], after: Mapping[_Place, _Row]) -> None:
    connection = session.connection()
    if taken := before.keys() - after.keys():
        connection.execute(_TAKE_OUT, [_key(endpoint_id, place, "its_") for place in taken])
    changed = [(place, row) for place, row in after.items() if row != before.get(place)]
    if changed:
        statement = upsert(connection, _GIFT)
        statement = statement.on_conflict_do_update(
            index_elements=["endpoint_id", *_PLACE], set_={name: statement.excluded[name] for name in _WHEN}
        )
        connection.execute(statement, [_key(endpoint_id, place) | row for place, row in changed])


def _removed(session: Session, connections: Collection[int]) -> set[int]:
    there = select(Connection.id).where(col(Connection.id).in_(connections))
    return set(connections) - set(session.exec(there)) if connections else set()


def _key(endpoint_id: int, place: _Place, prefix: str = "") -> _Row:
    return {f"{prefix}endpoint_id": endpoint_id, **{f"{prefix}{n}": v for n, v in zip(_PLACE, place, strict=True)}}


def _noted(session: Session, endpoint_id: int, names: Collection[str]) -> dict[_Place, _Row]:
    columns_ = (_GIFT.c[name] for name in (*_PLACE, *_WHEN))
    found = columns(*columns_).where(_GIFT.c.endpoint_id == endpoint_id, _GIFT.c.name.in_(names))
    noted = session.execute(found).mappings() if names else ()
    return {(each["name"], each["connection_id"], each["holder"]): {n: each[n] for n in _WHEN} for each in noted}


def _places(subject: str, said: Said, word: Word, rights: Rights) -> Iterator[_Place]:
    giving = (said.action.name,) if word.gives else said.action.takes
    for action in giving:
        for right in rights:
            yield _name(subject, said.step.app, action, right), said.step.connection_id or 0, word.holder


def _given(row: _Row | None, word: Word) -> _Row:
    if row and (word.at, word.event_id) < (row["given_at"], row["event_id"]):
        return row | {"since": min(row["since"], word.at)}
    return {
        "since": row["since"] if row else word.at,
        "given_at": word.at,
        "event_id": word.event_id,
        "paid": None if word.paid is None else str(word.paid),
    }


def drop_what_is_over(session: Session, endpoint_id: int, holders: Collection[str]) -> None:
    """Takes out what orders and subscriptions gave, of these, that give nothing any more."""
    found = select(Gift).where(Gift.endpoint_id == endpoint_id, col(Gift.holder).in_(holders))
    for gift in session.exec(found).all() if holders else ():
        try:
            if _is_over(session, gift):
                session.delete(gift)
        except SQLAlchemyError:
            raise
        except Exception:
            logger.exception("whether %s is over cannot be told: what it gave stays noted", gift.holder)
    session.flush()
