"""Whether a step that gives or takes may still be done.

A waiting grant must not let back in who has left meanwhile: a lane keeps its events in order, but what takes may be on
another one, of another connection, of another recipe's service, or of an event that names the buyer differently. And
what takes must leave alone what something else gives the buyer.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from integrations import integration
from integrations.errors import Permanent
from recipes.definition import Definition, Step
from recipes.engine.left_out import steps_left_out
from recipes.engine.rights import overruled, still_given
from recipes.engine.undone import taken_since
from recipes.models import Event, LetThrough, Run

logger = logging.getLogger(__name__)

# What goes on as soon as its event is there costs no look: nobody leaves before that.
_AT_ONCE = timedelta(seconds=1)
_CHOOSE = "Check, then choose: run again, or mark it done."
_UNCLEAR_GIFT = f"We cannot tell whether the buyer still has a right to this, so nothing was given. {_CHOOSE}"
_UNCLEAR_TAKING = f"We cannot tell what else the buyer has that gives this, so nothing was taken. {_CHOOSE}"


def let_through(session: Session, event_id: int, run_id: int | None, *, now: datetime) -> None:
    """Notes the merchant's word that a run, or with None all of an event's, goes on whatever was undone."""
    if not _is_let_through(session, event_id, run_id):
        session.add(LetThrough(event_id=event_id, run_id=run_id, created_at=now))


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a step is not done, as sentences. is_sure: False where it cannot be told, and the merchant has to say.

    something_was_done: whether an earlier step of the run was.
    """

    sentence: str
    is_sure: bool = True
    something_was_done: bool = False


def may_be_late(run: Run, event: Event, definition: Definition, *, now: datetime) -> bool:
    """Whether the step that a run is at gives something, and is not done as soon as its event came."""
    step = definition.steps[run.step]
    return _gives(step) and _has_waited(run, event, step, now)


def _has_waited(run: Run, event: Event, step: Step, now: datetime) -> bool:
    # An event from the future tells that the clock was set back, and nothing of how long it waited.
    return bool(step.wait) or run.attempt > 1 or run.step > 0 or abs(now - event.received_at) > _AT_ONCE


def objection(session: Session, run: Run, event: Event, definition: Definition, *, now: datetime) -> Objection | None:
    """What speaks against the step that a run is at; None if it may be done.

    What gives can be too late only where it had to wait: a message is still sent. What takes is always looked at, as
    the new subscription may have begun before the old one's end.
    """
    step = definition.steps[run.step]
    gives = _gives(step)
    if gives and not _has_waited(run, event, step, now):
        return None
    found = _look(session, run, event, step, gives, now)
    if found is None or _is_let_through(session, run.event_id, run.id):
        return None
    return replace(found, something_was_done=_has_done_something(session, run))


def _has_done_something(session: Session, run: Run) -> bool:
    if run.step == 0 or run.id is None:
        return False
    return not steps_left_out(session, [run.id])[run.id].issuperset(range(run.step))


def _look(session: Session, run: Run, event: Event, step: Step, gives: bool, now: datetime) -> Objection | None:
    try:
        said = taken_since(session, event, now=now) if gives else still_given(session, event, step, now=now)
        if said is None and _has_waited(run, event, step, now):
            said = overruled(session, event, step, now=now)
    except SQLAlchemyError:
        raise
    except Exception:
        # One event that breaks its interpretation must not keep all others from being claimed.
        logger.exception("whether run %s for event %s may still be done cannot be told: it is held", run.id, event.id)
        return Objection(_UNCLEAR_GIFT if gives else _UNCLEAR_TAKING, is_sure=False)
    if said is None:
        return None
    # An earlier try may have done it, if the service took it and its answer was lost.
    if run.attempt > 1:
        return Objection(f"{said} It was not tried again.")
    return Objection(f"{said} {'Nothing was given.' if gives else 'Nothing was taken.'}")


def _gives(step: Step) -> bool:
    try:
        return integration(step.app).action(step.action).gives
    except (KeyError, Permanent):
        return False  # the action is gone: nothing can be given


def _is_let_through(session: Session, event_id: int, run_id: int | None) -> bool:
    word = select(col(LetThrough.id)).where(
        col(LetThrough.event_id) == event_id,
        or_(col(LetThrough.run_id).is_(None), col(LetThrough.run_id) == run_id),
    )
    return session.execute(word.limit(1)).first() is not None
