"""Whether a step that gives, takes or writes over something may still be done.

A waiting grant must not let back in who has left meanwhile: a lane keeps its events in order, but what takes may be on
another one, of another connection, of another recipe's service, or of an event that names the buyer differently. And
what takes must leave alone what something else gives the buyer. What waited as its recipe says was on no lane
meanwhile: it must not write over what a later event has written.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from integrations import integration
from integrations.errors import Permanent
from recipes.definition import Definition, Step
from recipes.engine.left_out import steps_left_out
from recipes.engine.rights import overruled, still_given
from recipes.engine.undone import reversed_since, taken_since
from recipes.models import Event, LetThrough, Run

logger = logging.getLogger(__name__)

# What goes on as soon as its event is there costs no look: nobody leaves before that.
_AT_ONCE = timedelta(seconds=1)
_CHOOSE = "Check, then choose: run again, or mark it done."


class _Deed(StrEnum):
    """What a step does that something may speak against, as sentences say it."""

    GIVEN = "given"
    TAKEN = "taken"
    WRITTEN = "written"


_UNCLEAR = {
    _Deed.GIVEN: f"We cannot tell whether the buyer still has a right to this, so nothing was given. {_CHOOSE}",
    _Deed.TAKEN: f"We cannot tell what else the buyer has that gives this, so nothing was taken. {_CHOOSE}",
    _Deed.WRITTEN: f"We cannot tell whether this was undone since, so nothing was written. {_CHOOSE}",
}


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
    """Whether the step that a run is at gives or writes over something, and comes too late if that was undone."""
    deed = _deed_of(definition.steps[run.step])
    return deed in (_Deed.GIVEN, _Deed.WRITTEN) and not _is_in_time(deed, run, event, definition, now)


def _is_in_time(deed: _Deed, run: Run, event: Event, definition: Definition, now: datetime) -> bool:
    if deed == _Deed.WRITTEN:
        # However long it is tried, what its lane writes next is written after it. A wait is spent on no lane.
        return not any(step.wait for step in definition.steps[: run.step + 1])
    return deed == _Deed.GIVEN and not _has_waited(run, event, definition.steps[run.step], now)


def _has_waited(run: Run, event: Event, step: Step, now: datetime) -> bool:
    # An event from the future tells that the clock was set back, and nothing of how long it waited.
    return bool(step.wait) or run.attempt > 1 or run.step > 0 or abs(now - event.received_at) > _AT_ONCE


def objection(session: Session, run: Run, event: Event, definition: Definition, *, now: datetime) -> Objection | None:
    """What speaks against the step that a run is at; None if it may be done.

    What gives can be too late only where it had to wait, what writes over something only after a recipe's wait, and a
    message is still sent. What takes is always looked at, as the new subscription may have begun before the old one's
    end.
    """
    step = definition.steps[run.step]
    deed = _deed_of(step)
    if deed is None or _is_in_time(deed, run, event, definition, now):
        return None
    found = _look(session, run, event, step, deed, now)
    if found is None or _is_let_through(session, run.event_id, run.id):
        return None
    return replace(found, something_was_done=_has_done_something(session, run))


def _has_done_something(session: Session, run: Run) -> bool:
    if run.step == 0 or run.id is None:
        return False
    return not steps_left_out(session, [run.id])[run.id].issuperset(range(run.step))


def _look(session: Session, run: Run, event: Event, step: Step, deed: _Deed, now: datetime) -> Objection | None:
    try:
        if deed == _Deed.WRITTEN:
            said = reversed_since(session, event, now=now)
        elif deed == _Deed.GIVEN:
            said = taken_since(session, event, now=now)
        else:
            said = still_given(session, event, step, now=now)
        if said is None and _has_waited(run, event, step, now):
            said = overruled(session, event, step, now=now)
    except SQLAlchemyError:
        raise
    except Exception:
        # One event that breaks its interpretation must not keep all others from being claimed.
        logger.exception("whether run %s for event %s may still be done cannot be told: it is held", run.id, event.id)
        return Objection(_UNCLEAR[deed], is_sure=False)
    if said is None:
        return None
    # An earlier try may have done it, if the service took it and its answer was lost.
    if run.attempt > 1:
        return Objection(f"{said} It was not tried again.")
    return Objection(f"{said} Nothing was {deed}.")


def _deed_of(step: Step) -> _Deed | None:
    try:
        action = integration(step.app).action(step.action)
    except (KeyError, Permanent):
        return None  # the action is gone: nothing can be done
    if action.gives:
        return _Deed.GIVEN
    if action.takes:
        return _Deed.TAKEN
    return _Deed.WRITTEN if action.overwrites else None


def _is_let_through(session: Session, event_id: int, run_id: int | None) -> bool:
    word = select(col(LetThrough.id)).where(
        col(LetThrough.event_id) == event_id,
        or_(col(LetThrough.run_id).is_(None), col(LetThrough.run_id) == run_id),
    )
    return session.execute(word.limit(1)).first() is not None
