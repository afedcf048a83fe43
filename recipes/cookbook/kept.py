"""What came while a recipe was off: how many there are, and the merchant's word to run them or to leave them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, update
from sqlmodel import Session, col, select

from recipes import jobs
from recipes.cookbook.checking import CookbookError
from recipes.cookbook.drafts import find_recipe
from recipes.engine.kept import count_kept
from recipes.models import Kept, OffPeriod, Recipe

MOST_COUNTED = 1000
MOST_OFFERS = 10
_TOLD_FOR = timedelta(days=1)


@dataclass(frozen=True)
class KeptEvents:
    """What came while a recipe was off. `is_more`: there are more than `count`. Only an offer has a `since`.

    is_off: the recipe is off still, so that nothing can be said about them yet.
    """

    count: int = 0
    is_more: bool = False
    since: datetime | None = None
    is_running: bool = False
    made: int = 0
    left_out: int = 0
    is_off: bool = False

    @property
    def is_offered(self) -> bool:
        """Whether the merchant's word is awaited."""
        return self.count > 0 and not self.is_off

    @property
    def sentence(self) -> str:
        """How things are with them, "" if there is nothing to say."""
        if self.count:
            it = "it" if self.count == 1 and not self.is_more else "them"
            came = f"{'More than ' if self.is_more else ''}{self.count:,} event{'' if it == 'it' else 's'} came"
            if self.is_off:
                return f"{came} since this is off: switch it on, and you are asked whether to run {it}."
            return f"{came} while this was off: run {it}?"
        said = []
        if self.is_running:
            said.append("What came while this was off is being run, in its order.")
        if self.made:
            said.append(
                f"{self.made:,} {'run was' if self.made == 1 else 'runs were'} made of what came while it was off."
            )
        if self.left_out:
            was = "1 was" if self.left_out == 1 else f"{self.left_out:,} were"
            said.append(f"{was} left out, undone since: among its runs as cancelled, with the reason.")
        return " ".join(said)


def kept_events(session: Session, merchant_id: int, recipe_id: int, now: datetime) -> KeptEvents:
    """How things are with what came while a recipe was off: offered, being run, or run since yesterday."""
    recipe = find_recipe(session, merchant_id, recipe_id)
    if recipe is None:
        return KeptEvents()
    waiting = _waiting(session, recipe)
    if waiting.count or not recipe.enabled:
        return waiting
    told = select(OffPeriod).where(
        OffPeriod.recipe_id == recipe.id,
        col(OffPeriod.kept).in_((Kept.RUNNING, Kept.DONE)),
        col(OffPeriod.decided_at) > now - _TOLD_FOR,
    )
    taken = session.exec(told).all()
    return KeptEvents(
        is_running=any(period.kept == Kept.RUNNING for period in taken),
        made=sum(period.made for period in taken),
        left_out=sum(period.left_out for period in taken),
    )


def offers(session: Session, merchant_id: int) -> list[tuple[Recipe, KeptEvents]]:
    """What waits for the merchant's word: the first recipes that are on and were off while something came."""
    asks = exists().where(
        col(OffPeriod.recipe_id) == col(Recipe.id),
        col(OffPeriod.kept) == Kept.OFFERED,
        col(OffPeriod.until).is_not(None),
    )
    found = select(Recipe).where(
        Recipe.merchant_id == merchant_id, col(Recipe.enabled), col(Recipe.deleted_at).is_(None), asks
    )
    recipes = session.exec(found.order_by(col(Recipe.id)).limit(MOST_OFFERS)).all()
    told = [(recipe, _waiting(session, recipe)) for recipe in recipes]
    return [(recipe, kept) for recipe, kept in told if kept.is_offered]


def _waiting(session: Session, recipe: Recipe) -> KeptEvents:
    counted = [
        (count_kept(session, recipe, period, most=MOST_COUNTED), period.since)
        for period in session.exec(_offered(recipe)).all()
    ]
    count = sum(each for each, _ in counted)
    return KeptEvents(
        min(count, MOST_COUNTED),
        count > MOST_COUNTED,
        since=next((since for each, since in counted if each), None),
        is_off=not recipe.enabled,
    )


def run_kept(session: Session, merchant_id: int, recipe_id: int, now: datetime) -> str:
    """Lets the engine run what came while a recipe was off; a sentence. Raises CookbookError."""
    _decide(session, merchant_id, recipe_id, Kept.RUNNING, now)
    jobs.look_soon(session)
    return "They are being run now, in the order in which they came."


def leave_kept(session: Session, merchant_id: int, recipe_id: int, now: datetime) -> str:
    """Leaves what came while a recipe was off as it is; a sentence. Raises CookbookError."""
    _decide(session, merchant_id, recipe_id, Kept.LEFT, now)
    return "They stay stored under Activity, and are not run."


def _decide(session: Session, merchant_id: int, recipe_id: int, kept: Kept, now: datetime) -> None:
    recipe = find_recipe(session, merchant_id, recipe_id)
    if recipe is None:
        raise CookbookError({"": "There is no such recipe."})
    if not recipe.enabled:
        raise CookbookError({"": "The recipe is off: switch it on first."})
    decided = session.execute(
        update(OffPeriod)
        .where(
            col(OffPeriod.recipe_id) == recipe.id,
            col(OffPeriod.kept) == Kept.OFFERED,
            col(OffPeriod.until).is_not(None),
        )
        .values(kept=kept, decided_at=now)
        .returning(col(OffPeriod.id))
    ).all()
    if not decided:
        raise CookbookError({"": "Nothing that came while it was off waits for your word any more."})


def _offered(recipe: Recipe) -> Any:
    offered = select(OffPeriod).where(OffPeriod.recipe_id == recipe.id, OffPeriod.kept == Kept.OFFERED)
    return offered.order_by(col(OffPeriod.since))
