"""What is needed to perform the runs that were claimed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session, col

from recipes import jobs
from recipes.batches import is_one_of
from recipes.definition import UNREADABLE, Definition, readable
from recipes.engine.standing import Objection, has_waited, objection
from recipes.engine.undone import look_ahead
from recipes.models import Attempt, AttemptResult, Connection, Event, RecipeVersion, Run, RunState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A run that this engine has for itself, with all that it takes to perform its step.

    objection: why the step is not to be done; None if it is. doubt_since: when the try ended that put it in doubt; None
    where it has no end that we know of, and may be under way somewhere.
    """

    run_id: int
    merchant_id: int
    event_id: int
    event_type: str
    subject: str | None
    body: bytes = field(repr=False)
    is_test: bool
    occurred_at: datetime
    received_at: datetime
    definition: Definition = field(repr=False)
    step: int
    attempt: int
    doubt: bool
    lease: str
    connection_id: int | None
    revision: int
    credentials: bytes = field(repr=False)
    objection: Objection | None = None
    doubt_since: datetime | None = None


def load(session: Session, ids: Sequence[int], now: datetime) -> list[Claimed]:
    """The runs that were claimed, in their order. One whose recipe cannot be read has failed, and is left out."""
    found = session.execute(
        select(Run, Event, RecipeVersion, Connection)
        .join(Event, col(Event.id) == col(Run.event_id))
        .join(RecipeVersion, col(RecipeVersion.id) == col(Run.version_id))
        .outerjoin(Connection, col(Connection.id) == col(Run.connection_id))
        .where(is_one_of(session.connection(), col(Run.id), ids))
        .order_by(col(Run.order_at), col(Run.event_id), col(Run.id))
        .execution_options(populate_existing=True)
    ).all()
    # After a burst all that is claimed has waited, and is asked about.
    look_ahead(session, [event for run, event, _, _ in found if has_waited(run, event, now)])
    claimed = [_claimed(session, run, event, version, connection, now) for run, event, version, connection in found]
    return [each for each in claimed if each]


def _claimed(
    session: Session, run: Run, event: Event, version: RecipeVersion, connection: Connection | None, now: datetime
) -> Claimed | None:
    definition = readable(version.definition)
    if definition is None:
        # It fails by itself: were the claim to fail, nothing would be done for anyone any more.
        logger.error(
            "the recipe's version %s cannot be read: run %s for event %s has failed", version.id, run.id, event.id
        )
        run.state, run.outcome, run.finished_at = RunState.FAILED, UNREADABLE, now
        run.lease = run.lease_until = None
        session.flush()
        jobs.look_soon(session)  # what is behind it goes now
        return None
    return Claimed(
        run_id=run.id or 0,
        merchant_id=run.merchant_id,
        event_id=run.event_id,
        event_type=event.type,
        subject=event.subject,
        body=event.body,
        is_test=event.is_test,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        definition=definition,
        step=run.step,
        attempt=run.attempt,
        doubt=run.doubt,
        lease=run.lease or "",
        connection_id=run.connection_id,
        revision=connection.revision if connection else 0,
        credentials=connection.credentials if connection else b"",
        objection=objection(session, run, event, definition, now=now),
        doubt_since=_doubt_since(session, run) if run.doubt else None,
    )


def _doubt_since(session: Session, run: Run) -> datetime | None:
    tried = select(col(Attempt.result), col(Attempt.started_at), col(Attempt.milliseconds)).where(
        col(Attempt.run_id) == run.id,
        col(Attempt.step) == run.step,
        col(Attempt.result).in_((AttemptResult.UNSURE, AttemptResult.INTERRUPTED)),
    )
    last = session.execute(tried.order_by(col(Attempt.id).desc()).limit(1)).first()
    if last is None or last[0] == AttemptResult.INTERRUPTED:
        return None
    began, milliseconds = last.started_at, last.milliseconds
    ended: datetime = began + timedelta(milliseconds=milliseconds)
    return ended
