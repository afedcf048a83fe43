"""Which runs go next: due, first on their lane, connection active and within its limits."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from recipes.db import Lock, one_at_a_time
from recipes.engine.lanes import lock_of
from recipes.engine.limits import Pace
from recipes.engine.loading import Claimed, load
from recipes.engine.suspending import suspended
from recipes.models import (
    DUE_STATES,
    OPEN_STATES,
    Connection,
    ConnectionState,
    Run,
    RunState,
    among,
)

LEASE = timedelta(minutes=2)


def claim(
    session: Session,
    *,
    now: datetime,
    lease: str,
    limits: Pace,
    limit: int,
    limit_each: int | None = None,
    only: Collection[int | None] | None = None,
    lease_time: timedelta = LEASE,
) -> list[Claimed]:
    """Takes up to `limit` runs for `lease`, so that no other has them. Each counts as an attempt from here on.

    limit_each: how many runs of one merchant may be under way; merchants take turns. only: of these connections, None
    being the runs that have none.
    """
    due = connections_due(session, now) if only is None else active_among(session, only)
    # A lane, a lock and a limit are each of one connection. What is under way on these is looked up only now, when no
    # other engine can begin anything there.
    one_at_a_time(session, Lock.CLAIM, {connection_id or 0 for connection_id, _ in due})
    under_way = _under_way(session, only)
    running = Counter(connection_id for connection_id, _ in under_way)
    locked: dict[int | None, set[str]] = defaultdict(set)
    for connection_id, lane in under_way:
        if lock := lock_of(lane):
            locked[connection_id].add(lock)
    taken: list[int] = []
    merchants = _merchants(session, {*running, *(connection_id for connection_id, _ in due)})
    busy = Counter(merchants.get(connection_id) for connection_id in running.elements())
    for connection_id, app in _in_turns(due, merchants, busy):
        merchant_id = merchants.get(connection_id)
        room = limit - len(taken)
        if limit_each is not None:
            room = min(room, limit_each - busy[merchant_id])
        if connection_id is not None:
            room = min(room, limits.room(connection_id, app, running, now))
        if room <= 0:
            continue
        heads = _free_heads(session, connection_id, now, room, locked[connection_id])
        if connection_id is not None:
            limits.called(connection_id, app, len(heads), now)
        busy[merchant_id] += len(heads)
        taken += heads
    if not taken:
        return []
    claimed = (
        update(Run)
        .where(col(Run.id).in_(taken), col(Run.state).in_(DUE_STATES))
        .values(state=RunState.RUNNING, attempt=Run.attempt + 1, lease=lease, lease_until=now + lease_time)
        .returning(col(Run.id))
    )
    ids = session.execute(claimed, execution_options={"synchronize_session": False}).scalars().all()
    return load(session, ids, now)


def _under_way(session: Session, only: Collection[int | None] | None) -> Sequence[tuple[int | None, str]]:
    asked = select(col(Run.connection_id), col(Run.lane)).where(
        among(col(Run.state), OPEN_STATES), col(Run.state) == RunState.RUNNING
    )
    if only is not None:
        asked = asked.where(or_(*(_is_of(each) for each in only)))
    return [(connection_id, lane) for connection_id, lane in session.execute(asked)]


def _is_of(connection_id: int | None) -> ColumnElement[bool]:
    return col(Run.connection_id).is_(None) if connection_id is None else col(Run.connection_id) == connection_id


def connections_due(session: Session, now: datetime) -> Sequence[tuple[int | None, str]]:
    """The active connections that have runs due, each with its service; None, "" for runs without a connection."""
    due = (
        select(col(Run.connection_id))
        .where(among(col(Run.state), DUE_STATES), col(Run.due_at) <= now)
        .distinct()
        .subquery()
    )
    is_active = and_(
        col(Connection.state) == ConnectionState.ACTIVE, col(Connection.merchant_id).not_in(suspended(session))
    )
    found = session.execute(
        select(due.c.connection_id, col(Connection.app))
        .outerjoin(Connection, col(Connection.id) == due.c.connection_id)
        .where(or_(col(Connection.id).is_(None), is_active))
    )
    return [(connection_id, app or "") for connection_id, app in found]


def active_among(session: Session, wanted: Collection[int | None]) -> Sequence[tuple[int | None, str]]:
    """Those of the connections that may be called (not paused, no suspended store), with their services; None stays."""
    found = session.execute(
        select(col(Connection.id), col(Connection.app)).where(
            col(Connection.id).in_([each for each in wanted if each is not None]),
            col(Connection.state) == ConnectionState.ACTIVE,
            col(Connection.merchant_id).not_in(suspended(session)),
        )
    )
    none: list[tuple[int | None, str]] = [(None, "")] if None in wanted else []
    return none + [(connection_id, app) for connection_id, app in found]


def _merchants(session: Session, connections: Iterable[int | None]) -> Mapping[int | None, int]:
    wanted = [each for each in connections if each is not None]
    found = session.execute(
        select(col(Connection.id), col(Connection.merchant_id)).where(col(Connection.id).in_(wanted))
    )
    return {row.id: row.merchant_id for row in found}


def _in_turns(
    due: Sequence[tuple[int | None, str]], merchants: Mapping[int | None, int], busy: Mapping[int | None, int]
) -> Sequence[tuple[int | None, str]]:
    """The merchant with the fewest runs under way first, each with one connection before any has a second."""
    before: Counter[int | None] = Counter(busy)
    ranked = []
    for place, (connection_id, app) in enumerate(due):
        merchant_id = merchants.get(connection_id)
        ranked.append((before[merchant_id], place, connection_id, app))
        before[merchant_id] += 1
    return [(connection_id, app) for _, _, connection_id, app in sorted(ranked)]


def _free_heads(session: Session, connection_id: int | None, now: datetime, room: int, locked: set[str]) -> list[int]:
    """Up to `room` runs that may go now, no two for one lock. Theirs are added to `locked`.

    A run that waits for its next try holds up its lane, but no lock: what is for other buyers goes past it.
    """
    heads: list[int] = []
    for _ in range(room):
        found = _first_on_their_lanes(session, connection_id, now, room - len(heads), locked, heads)
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
    mine = col(Run.connection_id) == bindparam("connection") if has_connection else col(Run.connection_id).is_(None)
    free = [
        func.substr(col(Run.lane), 1, bindparam(f"length_{number}")) != bindparam(f"lock_{number}")
        for number in range(locks)
    ]
    if passes_over:
        free.append(col(Run.id).not_in(bindparam("taken", expanding=True)))
    return (
        select(col(Run.id), col(Run.lane))
        .where(mine, among(col(Run.state), DUE_STATES), col(Run.due_at) <= bindparam("now"), *free, ~blocked)
        .order_by(col(Run.order_at), col(Run.event_id), col(Run.id))
        .limit(bindparam("room"))
    )
