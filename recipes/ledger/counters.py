"""Counts for the home page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal_column
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar as Select

from recipes.models import (
    OPEN_STATES,
    UNFINISHED_STATES,
    Attempt,
    AttemptResult,
    Endpoint,
    Event,
    Origin,
    Run,
    RunState,
    among,
)

WINDOW = timedelta(days=7)
MOST_SKIPPED = 10_000


@dataclass(frozen=True)
class Counters:
    """Events received in the last seven days, and where their runs are. Samples do not count.

    `skipped` are the runs whose conditions did not hold; `left_out` those that something else spoke against, such as
    another order that gives the same. `retrying` are runs among those under way that failed once and are tried again.
    """

    events: int
    done: int
    skipped: int
    left_out: int
    failed: int
    unsure: int
    under_way: int
    retrying: int


def counters(session: Session, merchant_id: int, now: datetime) -> Counters:
    """A merchant's counts of the last seven days."""
    # By endpoint: the index over the time of receipt begins with it. Asked for first: which they are tells PostgreSQL
    # how many events there will be.
    mine = list(session.exec(select(Endpoint.id).where(Endpoint.merchant_id == merchant_id)))
    received = select(func.count(), func.min(Event.id)).where(
        col(Event.endpoint_id).in_(mine), col(Event.received_at) >= now - WINDOW
    )
    events, first_id = session.exec(received).one()
    counted = (
        select(Run.state, func.count())
        .where(col(Run.merchant_id) == merchant_id, col(Run.event_id) >= (first_id or 0))
        .group_by(col(Run.state))
    )
    states: Counter[str] = Counter(dict(session.exec(counted).all())) if events else Counter()
    # There are few samples: taking them off costs less than telling them apart among everything.
    samples = list(session.exec(_samples(merchant_id, now)))
    of_samples = select(Run.state, func.count()).where(col(Run.event_id).in_(samples)).group_by(col(Run.state))
    states.subtract(dict(session.exec(of_samples).all()))
    left_out = 0
    if states[RunState.SKIPPED]:
        left_out = session.exec(_left_out(merchant_id, first_id or 0, samples)).one()
    return Counters(
        events=events - len(samples),
        done=states[RunState.SUCCEEDED],
        skipped=states[RunState.SKIPPED] - left_out,
        left_out=left_out,
        failed=states[RunState.FAILED],
        unsure=states[RunState.UNSURE],
        under_way=sum(states[state] for state in UNFINISHED_STATES),
        retrying=session.exec(_retrying(merchant_id)).one(),
    )


def has_succeeded(session: Session, merchant_id: int) -> bool:
    """Whether a recipe of the merchant's has ever done what it is for, a sample's run included."""
    done = select(Run.id).where(Run.merchant_id == merchant_id, Run.state == RunState.SUCCEEDED)
    return session.exec(done.limit(1)).first() is not None


def _samples(merchant_id: int, now: datetime) -> Select[int | None]:
    return select(col(Event.id)).where(
        Event.merchant_id == merchant_id,
        # Written out: SQLite uses the partial index only for its own words.
        col(Event.origin) == literal_column(f"'{Origin.SAMPLE}'"),
        col(Event.received_at) >= now - WINDOW,
    )


def _left_out(merchant_id: int, first_id: int, samples: Sequence[int | None]) -> Select[int]:
    """How many of the last skipped runs, MOST_SKIPPED at the most, have tried a step: conditions are no try."""
    skipped = (
        select(Run.id)
        .where(
            Run.merchant_id == merchant_id,
            col(Run.event_id) >= first_id,
            col(Run.event_id).not_in(samples),
            Run.state == RunState.SKIPPED,
        )
        .order_by(col(Run.event_id).desc())
        .limit(MOST_SKIPPED)
        .subquery()
    )
    # One look into the tries' index for each. With a limit: else PostgreSQL may go through all tries there are.
    last = (
        select(Attempt.result)
        .where(col(Attempt.run_id) == skipped.c.id)
        .order_by(col(Attempt.id).desc())
        .limit(1)
        .correlate(skipped)
        .scalar_subquery()
    )
    return select(func.count()).select_from(skipped).where(last == AttemptResult.SKIPPED)


def _retrying(merchant_id: int) -> Select[int]:
    return select(func.count()).where(
        col(Run.merchant_id) == merchant_id,
        among(col(Run.state), OPEN_STATES),
        col(Run.state) == RunState.WAITING,
        col(Run.attempt) > 0,
    )
