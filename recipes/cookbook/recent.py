"""What a recipe would be about now: the last real event that it would take, else the sample that we ship."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from recipes.events import event_type
from recipes.events.reading import read
from recipes.models import Event, Origin, RunsOn, Standing


@dataclass(frozen=True)
class Example:
    """A payload to try a recipe with. `event_id` is None for the sample."""

    payload: Mapping[str, Any]
    occurred_at: datetime
    test_mode: bool
    event_id: int | None


def example(session: Session, merchant_id: int, event: str, runs_on: RunsOn, now: datetime) -> Example | None:
    """The merchant's last event of a type and side that could be read, else the sample; None for an unknown type."""
    known = event_type(event)
    if known is None:
        return None
    return _last(session, merchant_id, event, runs_on) or Example(known.sample(), now, test_mode=False, event_id=None)


def recent_payloads(session: Session, merchant_id: int, event: str, runs_on: RunsOn) -> list[Mapping[str, Any]]:
    """The last real payload, if there is one: besides the sample's, what `payload.…` may name."""
    last = _last(session, merchant_id, event, runs_on)
    return [last.payload] if last else []


def _last(session: Session, merchant_id: int, event: str, runs_on: RunsOn) -> Example | None:
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
    if runs_on != RunsOn.BOTH:
        found = found.where(Event.mode == runs_on)
    last = session.exec(found).first()
    if last is None:
        return None
    payload = read(last.body, event_header=event, timestamp_header=None, received_at=last.received_at).payload
    if payload is None:
        return None
    return Example(payload, last.occurred_at, last.is_test, last.id)
