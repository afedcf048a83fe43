"""Runs whose engine died while it had them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, or_, select, true, update
from sqlmodel import Session, col

from integrations import integration
from integrations.errors import Permanent
from recipes import jobs
from recipes.definition import readable
from recipes.engine.claiming import LEASE
from recipes.engine.delaying import mend_waits
from recipes.engine.loading import Claimed
from recipes.models import DUE_STATES, OPEN_STATES, Attempt, AttemptResult, RecipeVersion, Run, RunState, among
from recipes.policy import LONGEST_WAIT

_RUN = Run.__table__  # type: ignore[attr-defined]
# Made once: it is asked before every call, and making it takes as long as asking it.
_HELD = select(_RUN.c.id).where(
    _RUN.c.id == bindparam("number"),
    _RUN.c.lease == bindparam("held_by"),
    _RUN.c.step == bindparam("at_step"),
    _RUN.c.attempt == bindparam("at_attempt"),
    _RUN.c.state == RunState.RUNNING,
    _RUN.c.lease_until > bindparam("until"),
)

# In a row. A run that ends the engine whenever it is tried would otherwise do so for ever.
MOST_INTERRUPTIONS = 5
_INTERRUPTED = "We stopped while this was under way."
_INTERRUPTED_OFTEN = (
    f"We stopped {MOST_INTERRUPTIONS} times in a row while this was under way. "
    "Check, then choose: run again, or mark it done."
)


def is_held(session: Session, claimed: Claimed, until: datetime) -> bool:
    """Whether the run is still who claimed it's, and will be until then."""
    values = {
        "number": claimed.run_id,
        "held_by": claimed.lease,
        "at_step": claimed.step,
        "at_attempt": claimed.attempt,
        "until": until,
    }
    return session.connection().execute(_HELD, values).first() is not None


def extend_leases(
    session: Session, *, lease: str, runs: Iterable[int], now: datetime, lease_time: timedelta = LEASE
) -> None:
    """Keeps the runs that are under way from being taken for lost."""
    held = select(col(Run.id)).where(
        col(Run.id).in_(list(runs)), col(Run.lease) == lease, col(Run.state) == RunState.RUNNING
    )
    # In the order of the runs, as who settles writes them. One that is just being settled needs no lease any more.
    ids = session.execute(held.order_by(col(Run.id)).with_for_update(skip_locked=True)).scalars().all()
    session.execute(update(Run).where(col(Run.id).in_(ids)).values(lease_until=now + lease_time))


def give_back(session: Session, *, lease: str, runs: Iterable[int], now: datetime) -> None:
    """Puts back runs that were claimed and not begun: nothing was tried, so nothing is in doubt."""
    session.execute(
        update(Run)
        .where(col(Run.id).in_(list(runs)), col(Run.lease) == lease, col(Run.state) == RunState.RUNNING)
        .values(state=RunState.QUEUED, attempt=Run.attempt - 1, due_at=now, lease=None, lease_until=None)
    )
    jobs.look_soon(session)


def mend_due_times(session: Session, *, now: datetime, back: timedelta = timedelta(0)) -> int:
    """Lets no run wait for longer because the clock was set back; the number of runs.

    back: by how much it was, just now, if that is known. What is queued is due whatever the clock says, and no retry
    waits for longer than the schedule's longest, nor a step than its recipe says.
    """
    of_a_later_time = or_(col(Run.state) == RunState.QUEUED, col(Run.due_at) > now + LONGEST_WAIT)
    found = session.execute(
        select(col(Run.id), col(Run.state), col(Run.attempt), col(Run.due_at)).where(
            among(col(Run.state), DUE_STATES), col(Run.due_at) > now, of_a_later_time if not back else true()
        )
    ).all()
    for number, state, attempt, due_at in found:
        mended = due_at - back
        if state == RunState.QUEUED:
            mended = now
        elif attempt:
            mended = min(mended, now + LONGEST_WAIT)
        # As it was read: another engine may have given it a new time meanwhile.
        as_read = (col(Run.id) == number, col(Run.state) == state, col(Run.due_at) == due_at)
        session.execute(update(Run).where(*as_read).values(due_at=mended))
    return len(found) + mend_waits(session, now=now, clock_was_set_back=back > timedelta(0))


def recover(session: Session, *, now: datetime, only_lease: str | None = None) -> int:
    """Puts back the runs whose lease has run out; their number.

    only_lease: the one engine there is has just started under this name, so whatever another name holds is lost
    already. A repeatable step is tried again. Any other may have happened: the run goes on in doubt, and the
    service or the merchant is asked first. So is the merchant when a try was interrupted again and again.
    """
    lost = select(Run, RecipeVersion).join(RecipeVersion, col(RecipeVersion.id) == col(Run.version_id))
    lost = lost.where(among(col(Run.state), OPEN_STATES), col(Run.state) == RunState.RUNNING)
    is_lost = col(Run.lease_until) < now if only_lease is None else col(Run.lease) != only_lease
    # What another is recovering, or its engine is settling after all, is left to it.
    found = session.execute(lost.where(is_lost).with_for_update(of=Run, skip_locked=True)).all()
    for run, version in found:
        _record(session, run, now)
        run.state = RunState.QUEUED
        run.doubt = run.doubt or not _is_repeatable(version, run.step)
        run.outcome = _INTERRUPTED
        if _was_interrupted_often(session, run):
            run.state, run.outcome = RunState.UNSURE, _INTERRUPTED_OFTEN
        run.due_at = now
        run.lease = run.lease_until = None
    session.flush()
    if found:
        jobs.look_soon(session)
    return len(found)


def _was_interrupted_often(session: Session, run: Run) -> bool:
    latest = (
        select(col(Attempt.result), col(Attempt.number))
        .where(col(Attempt.run_id) == run.id, col(Attempt.step) == run.step)
        .order_by(col(Attempt.id).desc())
        .limit(MOST_INTERRUPTIONS)
    )
    # By number, too: what was interrupted before the merchant asked for another go does not count.
    often = [(AttemptResult.INTERRUPTED, run.attempt - ago) for ago in range(MOST_INTERRUPTIONS)]
    return [(result, number) for result, number in session.execute(latest)] == often


def _is_repeatable(version: RecipeVersion, number: int) -> bool:
    definition = readable(version.definition)
    if definition is None:
        return False  # it may have been anything
    step = definition.steps[number]
    try:
        return integration(step.app).action(step.action).repeatable
    except (KeyError, Permanent):
        return True  # the action is gone: nothing can be done, so nothing can be doubled


def _record(session: Session, run: Run, now: datetime) -> None:
    session.execute(
        insert(Attempt).values(
            run_id=run.id,
            step=run.step,
            number=run.attempt,
            started_at=now,
            milliseconds=0,
            result=AttemptResult.INTERRUPTED,
            outcome=_INTERRUPTED,
            request={},
            answer="",
        )
    )
