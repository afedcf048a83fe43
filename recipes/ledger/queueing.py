"""What a run that is not begun waits for: an earlier one on its lane, or a service that asked for a rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from recipes.models import OPEN_STATES, Attempt, AttemptResult, Run, RunState, among

# With these a service says that it was asked too often.
_TOO_OFTEN = (429, 403)


@dataclass(frozen=True)
class Ahead:
    """The first open run of the same buyer on a lane. `due_at` is set while its next try is planned."""

    run_id: int
    state: str
    due_at: datetime | None


def runs_ahead(session: Session, runs: Sequence[Run]) -> Mapping[int, Ahead]:
    """For each of these runs that is queued behind an earlier one of its lane: that one, by the run's id."""
    queued = [run.id for run in runs if run.state == RunState.QUEUED]
    if not queued:
        return {}
    earlier, first = aliased(Run), aliased(Run)
    # One look into the lanes' index for each: a lane may be long.
    ahead = (
        select(col(earlier.id))
        .where(
            col(earlier.lane) == col(Run.lane),
            among(col(earlier.state), OPEN_STATES),
            tuple_(col(earlier.order_at), col(earlier.event_id), col(earlier.id))
            < tuple_(col(Run.order_at), col(Run.event_id), col(Run.id)),
        )
        .order_by(col(earlier.order_at), col(earlier.event_id), col(earlier.id))
        .limit(1)
        .correlate(Run)
        .scalar_subquery()
    )
    found = session.execute(
        select(col(Run.id), col(first.id), col(first.state), col(first.due_at))
        .join(first, col(first.id) == ahead)
        .where(col(Run.id).in_(queued))
    )
    return {
        run_id: Ahead(ahead_id, state, due_at if state == RunState.WAITING else None)
        for run_id, ahead_id, state, due_at in found
    }


@dataclass(frozen=True)
class Rest:
    """A service asked to be left alone. sentence: how it said so. until: when this is over, at the latest."""

    sentence: str
    until: datetime


def rest_of(session: Session, run: Run) -> Rest | None:
    """Why a queued run is not begun, if its service asked another run of the connection to wait."""
    if run.state != RunState.QUEUED or run.connection_id is None:
        return None
    asked = (
        select(col(Attempt.outcome), col(Run.due_at))
        .join(Attempt, (col(Attempt.run_id) == col(Run.id)) & (col(Attempt.step) == col(Run.step)))
        .where(
            among(col(Run.state), OPEN_STATES),
            col(Run.state) == RunState.WAITING,
            col(Run.connection_id) == run.connection_id,
            col(Attempt.number) == col(Run.attempt),
            col(Attempt.result) == AttemptResult.TEMPORARY,
            col(Attempt.status).in_(_TOO_OFTEN),
        )
        .order_by(col(Run.due_at))
    )
    found = session.execute(asked.limit(1)).first()
    return Rest(found.outcome, found.due_at) if found else None
