"""How far runs have gone, so that what is asked of one is done only for the run as it was seen."""

from collections.abc import Collection, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from recipes.batches import is_one_of
from recipes.models import Attempt, Run


def courses(session: Session, runs: Collection[int]) -> Mapping[int, str]:
    """By a run's id, a text that changes with every try of the run and every repeat of it; none if there is no run."""
    other = aliased(Run)
    tries = select(func.count()).where(col(Attempt.run_id) == col(Run.id)).scalar_subquery()
    repeats = (
        select(func.count())
        .where(col(other.event_id) == col(Run.event_id), col(other.recipe_id) == col(Run.recipe_id))
        .scalar_subquery()
    )
    found = select(col(Run.id), col(Run.state), tries, repeats).where(
        is_one_of(session.connection(), col(Run.id), runs)
    )
    return {run_id: f"{state}-{tried}-{repeated}" for run_id, state, tried, repeated in session.execute(found)}
