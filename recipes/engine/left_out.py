"""Which steps of a run were left out: something spoke against them, and the run went on without them."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlmodel import Session, col

from recipes.batches import is_one_of
from recipes.models import Attempt, AttemptResult


def steps_left_out(session: Session, runs: Collection[int]) -> Mapping[int, set[int]]:
    """The numbers of the steps that were left out, by the run's id. A step that was done later counts no more."""
    last: dict[tuple[int, int], str] = {}
    tries = select(col(Attempt.run_id), col(Attempt.step), col(Attempt.result)).order_by(col(Attempt.id))
    if runs:
        for run_id, step, result in session.execute(
            tries.where(is_one_of(session.connection(), col(Attempt.run_id), runs))
        ):
            last[run_id, step] = result
    found: dict[int, set[int]] = defaultdict(set)
    for (run_id, step), result in last.items():
        if result == AttemptResult.SKIPPED:
            found[run_id].add(step)
    return found
