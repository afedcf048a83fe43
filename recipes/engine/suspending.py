"""A suspended store's events are taken and kept, and nothing of it runs until it is resumed."""

from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlmodel import Session, col

from recipes import jobs
from recipes.db import Lock, one_at_a_time
from recipes.models import DUE_STATES, OPEN_STATES, Connection, ConnectionState, Merchant, Run, RunState, among

_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
# Made once: it is asked at every turn, and making it takes longer than asking it.
_SUSPENDED = select(_MERCHANT.c.id).where(_MERCHANT.c.suspended_at.is_not(None))


def suspended(session: Session) -> list[int]:
    """The stores that are suspended."""
    return list(session.execute(_SUSPENDED).scalars())


def suspend(session: Session, merchant_id: int, *, now: datetime) -> None:
    """Suspends a store: its events wait to be fanned out, its runs are held; one in the middle of a call finishes."""
    # No run is made meanwhile that would be queued, and not held.
    one_at_a_time(session, Lock.FAN_OUT)
    session.execute(update(Merchant).where(col(Merchant.id) == merchant_id).values(suspended_at=now))
    session.execute(
        update(Run)
        .where(_runs_of(merchant_id, _connections(merchant_id)), among(col(Run.state), DUE_STATES))
        .values(state=RunState.HELD)
    )


def resume(session: Session, merchant_id: int, *, now: datetime) -> int:
    """Lets a store run again; the number of runs that were held. Those of paused connections wait on.

    The events that came meanwhile are fanned out from here on, oldest first; the claim keeps the runs in their order.
    """
    session.execute(update(Merchant).where(col(Merchant.id) == merchant_id).values(suspended_at=None))
    active = _connections(merchant_id).where(col(Connection.state) == ConnectionState.ACTIVE)
    resumed = session.execute(
        update(Run)
        .where(
            _runs_of(merchant_id, active),
            among(col(Run.state), OPEN_STATES),
            col(Run.state) == RunState.HELD,
        )
        .values(state=RunState.QUEUED, due_at=now)
        .returning(col(Run.id))
    )
    jobs.look_soon(session)
    return len(resumed.all())


def _connections(merchant_id: int) -> Select[int | None]:
    return select(col(Connection.id)).where(col(Connection.merchant_id) == merchant_id)


def _runs_of(merchant_id: int, connections: Select[int | None]) -> ColumnElement[bool]:
    """By their connections, as the index has them; and those whose connection was removed."""
    without = and_(col(Run.connection_id).is_(None), col(Run.merchant_id) == merchant_id)
    return or_(col(Run.connection_id).in_(connections), without)
