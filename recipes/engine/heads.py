"""The runs that may go next on a connection: due, and first on their lanes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, and_, bindparam, exists, func, or_, select, true
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from recipes.db import is_postgresql
from recipes.engine.lanes import lock_of
from recipes.engine.limits import MOST_CONCURRENT
from recipes.models import DUE_STATES, OPEN_STATES, Run, RunState, among


def heads_of_all(
    session: Session, due: Sequence[tuple[int | None, str]], now: datetime, limit: int
) -> Mapping[int | None, Sequence[tuple[int, str]]]:
    """The first of every connection, looked up together: on PostgreSQL each statement is a way to another machine."""
    connections = [connection_id for connection_id, _ in due if connection_id is not None]
    if len(connections) < 2 or not is_postgresql(session.connection()):
        return {}
    heads: dict[int | None, list[tuple[int, str]]] = {connection_id: [] for connection_id in connections}
    room = min(limit, MOST_CONCURRENT)
    found = session.execute(_heads_of_each(), {"connections": connections, "now": now, "room": room})
    for connection_id, number, lane in found:
        heads[connection_id].append((number, lane))
    return heads


def without_locks(heads: Sequence[tuple[int, str]] | None, room: int) -> list[int] | None:
    """The runs to take; None if they were not looked up, or are for things of which one run at a time may go."""
    if heads is None or any(lock_of(lane) for _, lane in heads):
        return None
    return [number for number, _ in heads[:room]]


@lru_cache
def _heads_of_each() -> Any:
    given = func.unnest(bindparam("connections", type_=ARRAY(BigInteger)))
    connections = given.table_valued("id", name="wanted").render_derived()
    heads = _first_ones(col(Run.connection_id) == connections.c.id).lateral("heads")
    return select(connections.c.id, heads.c.id, heads.c.lane).select_from(connections.join(heads, true()))


def free_heads(
    session: Session,
    connection_id: int | None,
    now: datetime,
    room: int,
    locked: set[str],
    besides: Collection[int] = (),
) -> list[int]:
    """Up to `room` runs that may go now, `besides` left out, no two for one lock. Theirs are added to `locked`.

    A run that waits for its next try holds up its lane, but no lock: what is for other buyers goes past it.
    """
    heads: list[int] = []
    for _ in range(room):
        found = _first_on_their_lanes(session, connection_id, now, room - len(heads), locked, {*heads, *besides})
        before = len(heads)
        for number, lane in found:
            lock = lock_of(lane)
            if lock not in locked:
                heads.append(number)
                if lock:
                    locked.add(lock)
        if len(heads) - before == len(found):
            break  # none was passed over, behind which there might be one for another lock
    return heads


def _first_on_their_lanes(
    session: Session,
    connection_id: int | None,
    now: datetime,
    room: int,
    locked: Collection[str],
    taken: Collection[int],
) -> Sequence[tuple[int, str]]:
    values: dict[str, Any] = {"now": now, "room": room}
    if connection_id is not None:
        values["connection"] = connection_id
    if taken:
        values["taken"] = list(taken)
    for number, lock in enumerate(locked):
        values |= {f"lock_{number}": lock, f"length_{number}": len(lock)}
    heads = _heads(connection_id is not None, len(locked), bool(taken))
    return [(number, lane) for number, lane in session.execute(heads, values)]


@lru_cache
def _heads(has_connection: bool, locks: int, passes_over: bool) -> Any:
    """The statement, kept: it is asked for every connection at every turn, and making it takes longer than asking it.

    Its values: `connection` if it has one, `now`, `room`; `lock_0` and `length_0` on; `taken` if it passes those over.
    """
    mine = col(Run.connection_id) == bindparam("connection") if has_connection else col(Run.connection_id).is_(None)
    free = [
        func.substr(col(Run.lane), 1, bindparam(f"length_{number}")) != bindparam(f"lock_{number}")
        for number in range(locks)
    ]
    if passes_over:
        free.append(col(Run.id).not_in(bindparam("taken", expanding=True)))
    return _first_ones(mine, *free)


def _first_ones(*which: ColumnElement[bool]) -> Any:
    """Of these runs the due ones that are first on their lanes, in their order. Its values: `now`, `room`."""
    earlier = aliased(Run)
    is_before = or_(
        col(earlier.order_at) < col(Run.order_at),
        and_(
            col(earlier.order_at) == col(Run.order_at),
            or_(
                col(earlier.event_id) < col(Run.event_id),
                and_(col(earlier.event_id) == col(Run.event_id), col(earlier.id) < col(Run.id)),
            ),
        ),
    )
    # A run that is under way keeps its lane, even from an earlier event that was found late.
    blocked = exists().where(
        col(earlier.lane) == col(Run.lane),
        col(earlier.id) != col(Run.id),
        among(col(earlier.state), OPEN_STATES),
        or_(col(earlier.state) == RunState.RUNNING, is_before),
    )
    return (
        select(col(Run.id), col(Run.lane))
        .where(*which, among(col(Run.state), DUE_STATES), col(Run.due_at) <= bindparam("now"), ~blocked)
        .order_by(col(Run.order_at), col(Run.event_id), col(Run.id))
        .limit(bindparam("room"))
    )
