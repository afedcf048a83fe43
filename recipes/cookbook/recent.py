"""What a recipe would be about now: the last real event of its type, else the sample that we ship."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from recipes.events import event_type
from recipes.events.reading import read
from recipes.models import Event, Origin, Standing


@dataclass(frozen=True)
class Example:
    """A payload to try a recipe with. `event_id` is None for the sample."""

    payload: Mapping[str, Any]
    occurred_at: datetime
    test_mode: bool
    event_id: int | None


def example(session: Session, merchant_id: int, event: str, now: datetime) -> Example | None:
    """The merchant's last event of a type that could be read, else the sample; None for an unknown type."""
    known = event_type(event)
    if known is None:
        return None
    return _last(session, merchant_id, event) or Example(known.sample(), now, test_mode=False, event_id=None)


def recent_payloads(session: Session, merchant_id: int, event: str) -> list[Mapping[str, Any]]:
    """The last real payload, if there is one: besides the sample's, what `payload.…` may name."""
    last = _last(session, merchant_id, event)
    return [last.payload] if last else []


def _last(session: Session, merchant_id: int, event: str) -> Example | None:
    found = (
        select(Event)
        .where(
            Event.merchant_id == merchant_id,
            Event.type == event,
            Event.standing == Standing.READY,
            Event.origin != Origin.SAMPLE,
        )
        .order_by(col(Event.id).desc())
        .limit(1)
    )
    last = session.exec(found).first()
    if last is None:
        return None
    payload = read(last.body, event_header=event, timestamp_header=None, received_at=last.received_at).payload
    if payload is None:
        return None
    return Example(payload, last.occurred_at, last.is_test, last.id)
