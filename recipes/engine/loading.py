"""What is needed to perform the runs that were claimed."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from sqlalchemy import Text, cast, select
from sqlmodel import Session, col

from recipes import jobs
from recipes.batches import is_one_of
from recipes.definition import UNREADABLE, Definition, readable
from recipes.engine.standing import Objection, may_be_late, objection
from recipes.engine.undone import look_ahead
from recipes.models import Attempt, AttemptResult, Connection, Event, RecipeVersion, Run, RunState

logger = logging.getLogger(__name__)

# Those of the machines that take events and run them.
_CLOCKS_APART = timedelta(minutes=1)
_DEFINITION = cast(col(RecipeVersion.definition), Text)


@dataclass(frozen=True)
class Claimed:
    """A run that this engine has for itself, with all that it takes to perform its step.

    objection: why the step is not to be done; None if it is. looked_since: when the service was first asked about what
    is in doubt, or is now; None where that may be under way somewhere, or where times tell nothing.
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
    looked_since: datetime | None = None


def load(session: Session, ids: Sequence[int], now: datetime) -> list[Claimed]:
    """The runs that were claimed, in their order. One whose recipe cannot be read has failed, and is left out."""
    found = session.execute(
        # No objects of what many runs share: made for each of them, they would take longer than all else here.
        select(Run, Event, _DEFINITION, col(Connection.revision), col(Connection.credentials))
        .join(Event, col(Event.id) == col(Run.event_id))
        .join(RecipeVersion, col(RecipeVersion.id) == col(Run.version_id))
        .outerjoin(Connection, col(Connection.id) == col(Run.connection_id))
        .where(is_one_of(session.connection(), col(Run.id), ids))
        .order_by(col(Run.order_at), col(Run.event_id), col(Run.id))
        .execution_options(populate_existing=True)
    ).all()
    readable_ones = []
    for run, event, stored, revision, credentials in found:
        definition = _definition(stored)
        if definition is None:
            _fail(session, run, now)
        else:
            readable_ones.append((run, event, definition, revision or 0, credentials or b""))
    # After a burst all that is claimed has waited, and is asked about.
    look_ahead(
        session,
        [event for run, event, definition, _, _ in readable_ones if may_be_late(run, event, definition, now=now)],
    )
    return [
        _claimed(session, run, event, definition, revision, credentials, now)
        for run, event, definition, revision, credentials in readable_ones
    ]


@lru_cache(maxsize=500)
def _definition(stored: str) -> Definition | None:
    return readable(json.loads(stored))


def _fail(session: Session, run: Run, now: datetime) -> None:
    """By itself: were the claim to fail, nothing would be done for anyone any more."""
    logger.error(
        "the recipe's version %s cannot be read: run %s for event %s has failed", run.version_id, run.id, run.event_id
    )
    run.state, run.outcome, run.finished_at = RunState.FAILED, UNREADABLE, now
    run.lease = run.lease_until = None
    session.flush()
    jobs.look_soon(session)  # what is behind it goes now


def _claimed(
    session: Session, run: Run, event: Event, definition: Definition, revision: int, credentials: bytes, now: datetime
) -> Claimed:
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
        revision=revision,
        credentials=credentials,
        objection=objection(session, run, event, definition, now=now),
        looked_since=_looked_since(session, run, event, now) if run.doubt else None,
    )


def _looked_since(session: Session, run: Run, event: Event, now: datetime) -> datetime | None:
    """Not since the try that is in doubt: by the first look the clock may have been set forward, and show hours."""
    tried = session.execute(
        select(col(Attempt.result), col(Attempt.started_at))
        .where(col(Attempt.run_id) == run.id, col(Attempt.step) == run.step)
        .order_by(col(Attempt.id))
    ).all()
    results = [each.result for each in tried]
    # Whatever was tried after it: an engine that stands still ends nothing.
    if AttemptResult.UNSURE not in results or AttemptResult.INTERRUPTED in results:
        return None
    began: list[datetime] = [event.received_at, *(each.started_at for each in tried), now]
    if any(later < earlier - _CLOCKS_APART for earlier, later in pairwise(began)):
        return None  # the clock was set back: the event may be younger than it says
    in_doubt = max(place for place, result in enumerate(results) if result == AttemptResult.UNSURE)
    return began[in_doubt + 2]
