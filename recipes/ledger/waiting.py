"""Whether the engine has stopped doing what there is to do, though it may look alive."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from recipes.models import (
    DELAYED_STATES,
    DUE_STATES,
    OPEN_STATES,
    Attempt,
    Connection,
    ConnectionState,
    Event,
    Run,
    RunState,
    among,
)

LONG = timedelta(minutes=5)
_AFTER_ALL = 2**62


@dataclass(frozen=True)
class Stopped:
    """What has waited for too long. waiting: the event or run, as a key; what: in words, with "has been"."""

    since: datetime
    waiting: str
    what: str


def stopped_since(session: Session, merchant_id: int, now: datetime) -> Stopped | None:
    """What of a merchant's has been waiting for minutes while the engine did nothing at all; None if all goes on.

    Not what waits for a paused connection, or for one that a service asked us to leave alone: its next try is planned.
    """
    found = _event(session, merchant_id, now) or _run(session, merchant_id, now)
    return None if found is None or _works(session, now) else found


def _event(session: Session, merchant_id: int, now: datetime) -> Stopped | None:
    # Adding nothing keeps SQLite from going through all of the merchant's events rather than those that wait.
    waiting = select(Event.id, Event.received_at).where(
        col(Event.fanned_out_at).is_(None), col(Event.merchant_id) + 0 == merchant_id
    )
    oldest = session.exec(waiting.order_by(col(Event.id)).limit(1)).first()
    if oldest is None or oldest[1] > now - LONG:
        return None
    return Stopped(oldest[1], f"event:{oldest[0]}", "an event has been")


def _run(session: Session, merchant_id: int, now: datetime) -> Stopped | None:
    resting = select(Run.connection_id).where(
        among(col(Run.state), OPEN_STATES),
        col(Run.state) == RunState.WAITING,
        col(Run.connection_id).is_not(None),
        col(Run.due_at) > now,
        Run.attempt > 0,
    )
    active = select(Connection.id).where(
        Connection.merchant_id == merchant_id,
        Connection.state == ConnectionState.ACTIVE,
        col(Connection.id).not_in(resting),
    )
    due = select(Run.id, Run.due_at).where(
        col(Run.connection_id).in_(active), among(col(Run.state), DUE_STATES), col(Run.due_at) <= now - LONG
    )
    # Those whose wait is over should have taken their places on their lanes, also on those of a paused connection.
    # Adding nothing, as above.
    over = select(Run.id, Run.due_at).where(
        among(col(Run.state), DELAYED_STATES), col(Run.due_at) <= now - LONG, col(Run.merchant_id) + 0 == merchant_id
    )
    oldest = session.exec(due.limit(1)).first() or session.exec(over.limit(1)).first()
    return Stopped(oldest[1], f"run:{oldest[0]}", "a run has been") if oldest else None


def _works(session: Session, now: datetime) -> bool:
    """Whether anything was made or tried lately, for whomever."""
    last_run, last_attempt = (select(func.max(each)).scalar_subquery() for each in (Run.id, Attempt.id))
    made = session.exec(select(Run.created_at).where(Run.id == last_run)).first()
    tried = session.exec(select(Attempt.started_at).where(Attempt.id == last_attempt)).first()
    fanned_out = session.exec(
        select(Event.fanned_out_at).where(col(Event.id) < _first_waiting()).order_by(col(Event.id).desc()).limit(1)
    ).first()
    return any(at is not None and at > now - LONG for at in (made, tried, fanned_out))


def _first_waiting() -> Any:
    waiting = select(Event.id).where(col(Event.fanned_out_at).is_(None)).order_by(col(Event.id)).limit(1)
    return func.coalesce(waiting.scalar_subquery(), _AFTER_ALL)
