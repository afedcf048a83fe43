"""Which runs go next: due, first on their lane, connection active and within its limits."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, or_, select, update
from sqlmodel import Session, col

from recipes.batches import is_one_of
from recipes.db import Lock, one_at_a_time
from recipes.engine.heads import free_heads, heads_of_all, without_locks
from recipes.engine.lanes import lock_of
from recipes.engine.limits import LONGEST_REST, Pace
from recipes.engine.loading import Claimed, load
from recipes.engine.suspending import suspended
from recipes.models import (
    DUE_STATES,
    OPEN_STATES,
    Connection,
    ConnectionPace,
    ConnectionState,
    Run,
    RunState,
    among,
)

LEASE = timedelta(minutes=2)

_RUN = Run.__table__  # type: ignore[attr-defined]
_CONNECTION = Connection.__table__  # type: ignore[attr-defined]
_PACE = ConnectionPace.__table__  # type: ignore[attr-defined]


def claim(
    session: Session,
    *,
    now: datetime,
    lease: str,
    limits: Pace,
    limit: int,
    limit_each: int | None = None,
    due: Sequence[tuple[int | None, str]] | None = None,
    lease_time: timedelta = LEASE,
    still_out: Collection[int] = (),
) -> list[Claimed]:
    """Takes up to `limit` runs for `lease`, so that no other has them. Each counts as an attempt from here on.

    limit_each: how many runs of one merchant `lease` may have under way; merchants take turns. due: the connections to
    take them of, if not of all that `connections_due` finds; the caller has these locked for claims. still_out: the
    runs that `lease` has calls out for. One that was taken from it meanwhile is left to others until its call is back.
    """
    if due is None:
        due = connections_due(session, now)
        one_at_a_time(session, Lock.CLAIM, {connection_id or 0 for connection_id, _ in due})
    if not due:
        return []
    taken = _chosen(session, due, now, lease, limits, limit, limit_each, still_out)
    if not taken:
        return []
    claimed = (
        update(Run)
        .where(is_one_of(session.connection(), col(Run.id), taken), among(col(Run.state), DUE_STATES))
        .values(state=RunState.RUNNING, attempt=Run.attempt + 1, lease=lease, lease_until=now + lease_time)
        .returning(col(Run.id))
    )
    ids = session.execute(claimed, execution_options={"synchronize_session": False}).scalars().all()
    return load(session, ids, now)


def _chosen(
    session: Session,
    due: Sequence[tuple[int | None, str]],
    now: datetime,
    lease: str,
    limits: Pace,
    limit: int,
    limit_each: int | None,
    still_out: Collection[int],
) -> list[int]:
    # A lane, a lock and a limit are each of one connection. What is under way on these is looked up only now, when no
    # other engine can begin anything there.
    under_way = _under_way(session)
    running = Counter(connection_id for _, connection_id, _, _ in under_way)
    locked: dict[int | None, set[str]] = defaultdict(set)
    for _, connection_id, lane, _ in under_way:
        if lock := lock_of(lane):
            locked[connection_id].add(lock)
    taken: list[int] = []
    merchants = _merchants(session, {*running, *(connection_id for connection_id, _ in due)})
    busy = Counter(merchants.get(connection_id) for connection_id in running.elements())
    own = Counter(merchants.get(connection_id) for _, connection_id, _, holder in under_way if holder == lease)
    not_again = set(still_out).difference(number for number, _, _, holder in under_way if holder == lease)
    ahead = heads_of_all(session, due, now, limit)
    for connection_id, app in _in_turns(due, merchants, busy):
        merchant_id = merchants.get(connection_id)
        room = limit - len(taken)
        if limit_each is not None:
            room = min(room, limit_each - own[merchant_id])
        if connection_id is not None:
            room = min(room, limits.room(connection_id, app, running, now))
        if room <= 0:
            continue
        heads = without_locks(ahead.get(connection_id), room)
        if heads is None or locked[connection_id] or not not_again.isdisjoint(heads):
            heads = free_heads(session, connection_id, now, room, locked[connection_id], not_again)
        if connection_id is not None:
            limits.called(connection_id, app, len(heads), now)
        own[merchant_id] += len(heads)
        taken += heads
    return taken


# Made once: they are asked at every turn, and making one takes longer than asking it.
_UNDER_WAY = select(_RUN.c.id, _RUN.c.connection_id, _RUN.c.lane, _RUN.c.lease).where(
    among(_RUN.c.state, OPEN_STATES), _RUN.c.state == RunState.RUNNING
)
_DUE = (
    select(_RUN.c.connection_id)
    .where(among(_RUN.c.state, DUE_STATES), _RUN.c.due_at <= bindparam("now"))
    .distinct()
    .subquery()
)
_CONNECTIONS_DUE = (
    select(_DUE.c.connection_id, _CONNECTION.c.app)
    .outerjoin(_CONNECTION, _CONNECTION.c.id == _DUE.c.connection_id)
    # On SQLite nothing stands there: the one engine knows it by heart.
    .outerjoin(_PACE, _PACE.c.connection_id == _DUE.c.connection_id)
    .where(
        or_(
            _PACE.c.rests_until.is_(None),
            _PACE.c.rests_until <= bindparam("now"),
            _PACE.c.rests_until > bindparam("farthest"),  # by a clock that was set back since: `limits` sees to it
        ),
        or_(
            _CONNECTION.c.id.is_(None),
            and_(
                _CONNECTION.c.state == ConnectionState.ACTIVE,
                _CONNECTION.c.merchant_id.not_in(bindparam("suspended", expanding=True)),
            ),
        ),
    )
)


def _under_way(session: Session) -> Sequence[tuple[int, int | None, str, str | None]]:
    """Of each run: its number, its connection, its lane, and who has it."""
    return [(number, connection_id, lane, lease) for number, connection_id, lane, lease in session.execute(_UNDER_WAY)]


def connections_due(session: Session, now: datetime) -> Sequence[tuple[int | None, str]]:
    """The active connections that have runs due, each with its service; None, "" for runs without a connection.

    Without those that rest, as their service asked: however many they are, they keep no other from being looked at.
    """
    given = {"now": now, "farthest": now + LONGEST_REST, "suspended": suspended(session)}
    found = session.execute(_CONNECTIONS_DUE, given)
    return [(connection_id, app or "") for connection_id, app in found]


def _merchants(session: Session, connections: Iterable[int | None]) -> Mapping[int | None, int]:
    wanted = [each for each in connections if each is not None]
    if not wanted:
        return {}
    found = session.execute(
        select(col(Connection.id), col(Connection.merchant_id)).where(
            is_one_of(session.connection(), col(Connection.id), wanted)
        )
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
