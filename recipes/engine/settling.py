"""Writes what came of tries: attempts recorded, runs moved on, connections paused. Many at once."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlmodel import Session, col

from recipes import jobs
from recipes.batches import insert_rows
from recipes.engine.delaying import coming_to
from recipes.engine.holding import connection_of, hold, refused_reason
from recipes.engine.lanes import lane_of
from recipes.engine.loading import Claimed
from recipes.engine.performing import Performed
from recipes.models import DUE_STATES, Attempt, Connection, ConnectionState, Run, RunState

ENDED = (RunState.SUCCEEDED, RunState.SKIPPED, RunState.FAILED, RunState.CANCELLED)

_ATTEMPT = Attempt.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
# What it sets are the columns named in the rows that it is executed with.
# By the step and the attempt, too: an engine may be given anew what was taken from it while its first call is out.
_MOVE = update(_RUN).where(
    _RUN.c.id == bindparam("settled"),
    _RUN.c.lease == bindparam("held_by"),
    _RUN.c.step == bindparam("was_step"),
    _RUN.c.attempt == bindparam("was_attempt"),
    _RUN.c.state == RunState.RUNNING,
)


def settle(session: Session, performed: Sequence[Performed], *, now: datetime) -> None:
    """Records a batch of tries and moves their runs on.

    A run that was taken over meanwhile keeps its state; that the try was made is recorded all the same.
    """
    tries = [_attempt(each) for each in performed if each.result is not None]
    insert_rows(session.connection(), _ATTEMPT, tries)
    paused = _pause(session, performed, now)
    _move(session, performed, paused, now)


def _attempt(performed: Performed) -> dict[str, Any]:
    claimed = performed.claimed
    return {
        "run_id": claimed.run_id,
        "step": claimed.step,
        "number": claimed.attempt,
        "started_at": performed.started_at,
        "milliseconds": round((performed.finished_at - performed.started_at).total_seconds() * 1000),
        "result": performed.result,
        "outcome": performed.outcome,
        "request": dict(performed.request),
        "status": performed.status,
        "answer": performed.answer,
    }


def _pause(session: Session, performed: Sequence[Performed], now: datetime) -> set[int]:
    """Pauses the connections whose credentials were refused; those that are paused now.

    Not when the merchant reconnected while the call was under way: then the refused credentials are gone already.
    """
    refused = {each.claimed.connection_id: each for each in performed if each.state == RunState.HELD}
    if not refused:
        return set()
    # Locked, in their order: who reconnects meanwhile comes after, and finds the runs held.
    asked = select(Connection).where(col(Connection.id).in_(list(refused))).order_by(col(Connection.id))
    found = session.execute(asked.with_for_update()).scalars().all()
    paused: set[int] = set()
    for connection in found:
        each = refused[connection.id]
        if connection.id is None or connection.revision != each.claimed.revision:
            continue
        if connection.state == ConnectionState.ACTIVE:
            hold(session, connection.id, reason=refused_reason(connection.app, each.outcome), now=now)
        paused.add(connection.id)
    return paused


def _move(session: Session, performed: Sequence[Performed], paused: set[int], now: datetime) -> None:
    # One statement for all that change the same columns: made anew for each run, it would take longer than the rest.
    moves: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    later: list[datetime] = []
    # In the order of the runs: who else writes several of them does so in the same.
    for each in sorted(performed, key=lambda each: each.claimed.run_id):
        values = _changes(session, each, paused, now)
        moves[tuple(values)].append(_claim_of(each.claimed) | values)
        if values["state"] in DUE_STATES and values["due_at"] > now:
            later.append(values["due_at"])
    for rows in moves.values():
        session.connection().execute(_MOVE, rows)
    # For one that another engine took over meanwhile there is a job too many, which finds nothing to do.
    jobs.look_later(session, later)


def _claim_of(claimed: Claimed) -> dict[str, Any]:
    return {
        "settled": claimed.run_id,
        "held_by": claimed.lease,
        "was_step": claimed.step,
        "was_attempt": claimed.attempt,
    }


def _changes(session: Session, performed: Performed, paused: set[int], now: datetime) -> dict[str, Any]:
    claimed = performed.claimed
    values: dict[str, Any] = {
        "state": performed.state,
        "outcome": performed.outcome,
        "doubt": performed.doubt,
        "lease": None,
        "lease_until": None,
    }
    if performed.due_at is not None:
        values["due_at"] = performed.due_at
    if performed.state in (RunState.HELD, RunState.QUEUED):
        # Waiting for the merchant, or being handed back, is no try of the action: the schedule begins where it was.
        values["attempt"] = claimed.attempt - 1
        if performed.state == RunState.HELD and claimed.connection_id not in paused:
            values |= {"state": RunState.QUEUED, "due_at": now}
    if performed.goes_on and claimed.step + 1 < len(claimed.definition.steps):
        values |= _next_step(session, performed, now)
    elif performed.state in ENDED:
        values["finished_at"] = now
    return values


def _next_step(session: Session, performed: Performed, now: datetime) -> dict[str, Any]:
    claimed = performed.claimed
    step = claimed.definition.steps[claimed.step + 1]
    connection = connection_of(session, claimed.merchant_id, step)
    is_paused = connection is not None and connection.state == ConnectionState.PAUSED
    state, due_at = coming_to(step, since=performed.finished_at, now=now, is_paused=is_paused)
    return {
        "state": state,
        "step": claimed.step + 1,
        "attempt": 0,
        "due_at": due_at,
        "connection_id": connection.id if connection else None,
        "lane": lane_of(step, subject=claimed.subject, event_id=claimed.event_id),
    }
