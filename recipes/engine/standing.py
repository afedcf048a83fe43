"""Whether a step that gives may still be done. A waiting grant must not let back in who has left meanwhile.

A lane keeps its events in order, but what takes may be on another one: of another connection, of another recipe's
service, or of an event that names the buyer differently.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from integrations import integration
from integrations.errors import Permanent
from recipes.definition import Definition
from recipes.engine.undone import taken_since
from recipes.models import Event, LetThrough, Run

logger = logging.getLogger(__name__)

# What goes on as soon as its event is there costs no look: nobody leaves before that.
_AT_ONCE = timedelta(seconds=1)


def let_through(session: Session, event_id: int, run_id: int | None, *, now: datetime) -> None:
    """Notes the merchant's word that a run, or with None all of an event's, goes on whatever was undone."""
    if not _is_let_through(session, event_id, run_id):
        session.add(LetThrough(event_id=event_id, run_id=run_id, created_at=now))


def too_late(session: Session, run: Run, event: Event, definition: Definition, *, now: datetime) -> str | None:
    """Why the step that a run is at is not done any more, as sentences; None if it may be.

    Only what gives can be too late, and only where it had to wait: a message is still sent.
    """
    has_waited = run.attempt > 1 or run.step > 0 or now - event.received_at > _AT_ONCE
    if not (has_waited and _gives(definition, run.step)):
        return None
    taken = _taken_since(session, event, now)
    if taken is None or _is_let_through(session, run.event_id, run.id):
        return None
    # An earlier try may have given it, if the service took it and its answer was lost.
    return f"{taken} {'Nothing was given.' if run.attempt == 1 else 'It was not tried again.'}"


def _taken_since(session: Session, event: Event, now: datetime) -> str | None:
    try:
        return taken_since(session, event, now=now)
    except SQLAlchemyError:
        raise
    except Exception:
        # One event that breaks its interpretation must not keep all others from being claimed.
        logger.exception("whether event %s still stands cannot be told: it is taken to", event.id)
        return None


def _gives(definition: Definition, number: int) -> bool:
    step = definition.steps[number]
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
