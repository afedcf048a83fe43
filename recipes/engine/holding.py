"""A paused connection holds its runs; reconnecting lets them go, in their order."""

from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from integrations import integration
from recipes import jobs
from recipes.definition import Step
from recipes.models import DUE_STATES, OPEN_STATES, Connection, ConnectionState, Run, RunState, among


def connection_of(session: Session, merchant_id: int, step: Step) -> Connection | None:
    """The connection that a step names, as long as the merchant has it and it is to the step's service."""
    # Locked: whoever pauses or reconnects it meanwhile comes after, and finds what is decided by its state.
    return session.execute(
        select(Connection)
        .where(
            col(Connection.id) == step.connection_id,
            col(Connection.merchant_id) == merchant_id,
            col(Connection.app) == step.app,
        )
        .with_for_update(read=True)
    ).scalar_one_or_none()


def refused_reason(app: str, sentence: str) -> str:
    """Why a connection is paused whose credentials its service refused, with the service's `sentence`."""
    return f"{sentence} Reconnect {integration(app).title}."


def hold(session: Session, connection_id: int, *, reason: str, now: datetime) -> None:
    """Pauses a connection. Its runs wait, none fails; `reason` is a sentence for the merchant."""
    session.execute(
        update(Connection)
        .where(col(Connection.id) == connection_id)
        .values(state=ConnectionState.PAUSED, paused_reason=reason, paused_at=now)
    )
    session.execute(
        update(Run)
        .where(col(Run.connection_id) == connection_id, among(col(Run.state), DUE_STATES))
        .values(state=RunState.HELD)
    )


def release(session: Session, connection_id: int, *, now: datetime) -> int:
    """Makes a connection active again; the number of runs that waited. The claim keeps them in order."""
    session.execute(
        update(Connection)
        .where(col(Connection.id) == connection_id)
        .values(state=ConnectionState.ACTIVE, paused_reason="", paused_at=None)
    )
    released = session.execute(
        update(Run)
        .where(
            col(Run.connection_id) == connection_id, among(col(Run.state), OPEN_STATES), col(Run.state) == RunState.HELD
        )
        .values(state=RunState.QUEUED, due_at=now)
        .returning(col(Run.id))
    )
    count = len(released.all())
    jobs.look_soon(session)
    return count
