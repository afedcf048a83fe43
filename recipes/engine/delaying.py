"""Steps that wait as their recipe says: "3 days later".

Until then a run is `delayed`: off every lane, connection and limit, so that it keeps nobody waiting and costs nothing.
Once it is due it takes its place on its lane, behind what is under way there, and is done as any other.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlmodel import Session, col

from recipes import conditions, waits
from recipes.batches import is_one_of
from recipes.db import Lock, one_at_a_time
from recipes.definition import Definition, Step, readable
from recipes.engine.suspending import suspended
from recipes.engine.undone import read_again
from recipes.events.facts import facts_of
from recipes.models import DELAYED_STATES, Connection, ConnectionState, Event, RecipeVersion, Run, RunState, among

logger = logging.getLogger(__name__)

LONGEST = timedelta(days=waits.LONGEST_DAYS)

_RUN = Run.__table__  # type: ignore[attr-defined]
_IS_DELAYED = among(_RUN.c.state, DELAYED_STATES)
# Made once: it is asked at every turn. A suspended store's runs wait on, as its events do.
_OVER = (
    select(_RUN.c.id, _RUN.c.connection_id)
    .where(_IS_DELAYED, _RUN.c.due_at <= bindparam("now"))
    .where(_RUN.c.merchant_id.not_in(bindparam("suspended", expanding=True)))
    .order_by(_RUN.c.due_at, _RUN.c.id)
    .limit(bindparam("limit"))
)


def coming_to(step: Step, *, since: datetime, now: datetime, is_paused: bool) -> tuple[RunState, datetime]:
    """The state of a run that comes to a step, and when the step is due.

    since: when the step before it ended, or its event was received. is_paused: whether its connection is.
    """
    # A time that is not here yet is of a clock that was set back since.
    due_at = min(since, now) + waits.duration(step.wait)
    if due_at > now:
        return RunState.DELAYED, due_at
    return (RunState.HELD if is_paused else RunState.QUEUED), now


def why_not_to_wait(event: Event, definition: Definition) -> str | None:
    """What the conditions say against a run that would have to wait first; None if they hold, or it cannot be told.

    They are about the event alone and would say the same when the wait is over: who looks at what waits is not told of
    runs that will come to nothing.
    """
    try:
        reading = read_again(event)
        if reading.payload is None:
            return None
        facts = facts_of(event.type, reading.payload, occurred_at=event.occurred_at, test_mode=event.is_test)
        verdict = conditions.evaluate(definition.match, definition.conditions, facts)
    except Exception:
        # It is asked again when the run is performed, and fails there by itself.
        logger.exception("the conditions for event %s cannot be told yet", event.id)
        return None
    return None if verdict.matches else verdict.sentence


def has_waits_over(session: Session, now: datetime) -> bool:
    """Whether a run's wait is over: a look that takes no lock."""
    return session.execute(_OVER, _asked(session, now, 1)).first() is not None


def end_waits(session: Session, *, now: datetime, limit: int = 100) -> int:
    """Gives up to `limit` runs whose wait is over their places on their lanes; their number.

    One whose connection is paused is held. Whoever holds or suspends meanwhile comes before or after, never between.
    """
    if not has_waits_over(session, now):
        return 0
    one_at_a_time(session, Lock.FAN_OUT)
    found = session.execute(_OVER, _asked(session, now, limit)).all()
    paused = _paused(session, {connection_id for _, connection_id in found if connection_id is not None})
    runs_of: dict[RunState, list[int]] = {RunState.HELD: [], RunState.QUEUED: []}
    for number, connection_id in found:
        runs_of[RunState.HELD if connection_id in paused else RunState.QUEUED].append(number)
    for state, numbers in runs_of.items():
        # Those that somebody cancels just now are left to them.
        free = select(_RUN.c.id).where(is_one_of(session.connection(), _RUN.c.id, numbers), _IS_DELAYED)
        free = free.order_by(_RUN.c.id).with_for_update(skip_locked=True)
        ids = session.execute(free).scalars().all() if numbers else []
        if ids:
            # The session's own copies are not looked at again: each turn has a new one.
            ended = update(_RUN).where(is_one_of(session.connection(), _RUN.c.id, ids)).values(state=state, due_at=now)
            session.execute(ended)
    return len(found)


def mend_waits(session: Session, *, now: datetime, clock_was_set_back: bool) -> int:
    """Lets no run wait for longer, from now, than its recipe says; the number of runs.

    If the clock was set back just now, all that wait are looked at; else only those that wait for longer than any may.
    """
    farthest = now if clock_was_set_back else now + LONGEST
    asked = select(_RUN.c.version_id, _RUN.c.step).where(_IS_DELAYED, _RUN.c.due_at > farthest).distinct()
    mended = 0
    for version_id, number in session.execute(asked).all():
        definition = readable(session.get_one(RecipeVersion, version_id).definition)
        wait = waits.duration(definition.steps[number].wait) if definition else timedelta(0)
        of_step = (_IS_DELAYED, _RUN.c.version_id == version_id, _RUN.c.step == number)
        late = update(_RUN).where(*of_step, _RUN.c.due_at > now + wait).values(due_at=now + wait)
        mended += len(session.execute(late.returning(_RUN.c.id)).all())
    return mended


def _asked(session: Session, now: datetime, limit: int) -> dict[str, Any]:
    return {"now": now, "suspended": suspended(session), "limit": limit}


def _paused(session: Session, used: Iterable[int]) -> set[int]:
    # Locked, in their order: whoever pauses or reconnects one meanwhile comes after, and finds the runs.
    found = session.execute(
        select(col(Connection.id), col(Connection.state))
        .where(is_one_of(session.connection(), col(Connection.id), list(used)))
        .order_by(col(Connection.id))
        .with_for_update(read=True)
    )
    return {number for number, state in found if number is not None and state == ConnectionState.PAUSED}
