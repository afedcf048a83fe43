"""Deleting a recipe: it leaves the shelf for good, and what it did for buyers stays to be seen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from recipes.cookbook.checking import CookbookError
from recipes.cookbook.drafts import find_recipe
from recipes.cookbook.saving import WAITING, disable, under_way_sentence
from recipes.cookbook.unsaved import forget_everybodys
from recipes.db import Lock, one_at_a_time
from recipes.models import UNFINISHED_STATES, Recipe, Run, RunState
from recipes.prebuilt import PREBUILT


@dataclass(frozen=True)
class Deletion:
    """What deleting a recipe would mean: in sentences, and how many of its runs wait and can be cancelled with it."""

    recipe: Recipe
    sentences: tuple[str, ...]
    waiting: int


def deletion(session: Session, merchant_id: int, recipe: int | str) -> Deletion | None:
    """What deleting a recipe, found by its id or its name, would mean; None if there is none. Nothing is changed."""
    found = find_recipe(session, merchant_id, recipe)
    if found is None:
        return None
    counted = select(Run.state, func.count()).where(col(Run.recipe_id) == found.id).group_by(col(Run.state))
    states: Mapping[str, int] = dict(session.exec(counted).all())
    return Deletion(found, tuple(_sentences(found, states)), sum(states.get(state, 0) for state in WAITING))


def _sentences(recipe: Recipe, states: Mapping[str, int]) -> Iterator[str]:
    yield "It leaves your recipes and takes no new events."
    if recipe.name in PREBUILT:
        yield "You can set it up anew at any time."
    made = sum(states.values())
    if not made:
        yield "It has not run yet."
        return
    runs = "its run is" if made == 1 else f"its {made:,} runs are"
    yield f"What it did stays: {runs} kept, with all that was tried."
    under_way = sum(states.get(state, 0) for state in UNFINISHED_STATES)
    if under_way:
        yield under_way_sentence(under_way)
    failed, unsure = states.get(RunState.FAILED, 0), states.get(RunState.UNSURE, 0)
    if failed or unsure:
        said = [f"{failed:,} failed"] if failed else []
        said += [f"{unsure:,} {'needs' if unsure == 1 else 'need'} your word"] if unsure else []
        yield f"{' and '.join(said)}: you can still run them again or set them aside."


def delete(session: Session, merchant_id: int, recipe_id: int, now: datetime, *, cancel_waiting: bool = False) -> str:
    """Deletes a recipe; what came of it, in sentences. Raises CookbookError if there is none.

    Its row stays, off and unseen, for its runs: those under way finish, unless `cancel_waiting`, and the log of all of
    them is kept as long as any. Its name is free again.
    """
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    recipe = find_recipe(session, merchant_id, recipe_id)
    if recipe is None:
        raise CookbookError({"": "There is no such recipe."})
    disabled = disable(
        session,
        merchant_id,
        recipe_id,
        now,
        cancel_waiting=cancel_waiting,
        why="Cancelled when the recipe was deleted.",
    )
    recipe.deleted_at = now
    recipe.name = f"{recipe.name}#{recipe.id}"  # no other is called so: names are words and dashes
    session.add(recipe)
    forget_everybodys(session, merchant_id, recipe_id)
    session.flush()
    return " ".join([f"“{recipe.title}” is deleted.", *disabled.runs])
