"""Counts for the home page."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from recipes.models import OPEN_STATES, Endpoint, Event, Run, RunState

WINDOW = timedelta(days=7)


@dataclass(frozen=True)
class Counters:
    """Events received in the last seven days, and where their runs are."""

    events: int
    done: int
    skipped: int
    failed: int
    unsure: int
    under_way: int
    last_event_at: datetime | None


def counters(session: Session, merchant_id: int, now: datetime) -> Counters:
    """A merchant's counts of the last seven days."""
    # By endpoint: the index over the time of receipt begins with it.
    mine = select(Endpoint.id).where(Endpoint.merchant_id == merchant_id)
    received = select(func.count(), func.min(Event.id), func.max(Event.received_at)).where(
        col(Event.endpoint_id).in_(mine), col(Event.received_at) >= now - WINDOW
    )
    events, first_id, last_at = session.exec(received).one()
    counted = (
        select(Run.state, func.count())
        .where(col(Run.merchant_id) == merchant_id, col(Run.event_id) >= (first_id or 0))
        .group_by(col(Run.state))
    )
    states: dict[str, int] = dict(session.exec(counted).all()) if events else {}
    return Counters(
        events=events,
        done=states.get(RunState.SUCCEEDED, 0),
        skipped=states.get(RunState.SKIPPED, 0),
        failed=states.get(RunState.FAILED, 0),
        unsure=states.get(RunState.UNSURE, 0),
        under_way=sum(states.get(state, 0) for state in OPEN_STATES),
        last_event_at=last_at,
    )
