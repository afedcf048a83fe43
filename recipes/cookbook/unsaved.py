"""What a person entered for a recipe and has not saved yet: kept while they connect a service, to be found again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from recipes.cookbook.drafts import Draft
from recipes.db import Lock, one_at_a_time
from recipes.models import UnsavedForm

Entered = Sequence[tuple[str, str]]
ANOTHER = "another "


def keep_entered(
    session: Session, merchant_id: int, account_id: int, draft: Draft, entered: Entered, now: datetime
) -> None:
    """Keeps a person's form of a recipe as it stands, whatever is wrong with it; in place of what was kept before.

    entered: names and values, in the form's order.
    """
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    session.merge(
        UnsavedForm(
            account_id=account_id,
            merchant_id=merchant_id,
            recipe=_recipe(draft),
            entered=[[name, value] for name, value in entered],
            created_at=now,
        )
    )
    session.flush()


def find_entered(session: Session, merchant_id: int, account_id: int, draft: Draft) -> UnsavedForm | None:
    """What the person entered for a recipe and has not saved; None if there is nothing."""
    return session.get(UnsavedForm, (account_id, merchant_id, _recipe(draft)))


def unsaved_recipes(session: Session, merchant_id: int, account_id: int) -> list[tuple[str, str]]:
    """The recipes for which a person entered something and has not saved it, the latest first: `recipe` and title."""
    mine = UnsavedForm.account_id == account_id, UnsavedForm.merchant_id == merchant_id
    found = select(UnsavedForm).where(*mine).order_by(col(UnsavedForm.created_at).desc())
    return [(kept.recipe, dict(kept.entered).get("title", "").strip() or kept.recipe) for kept in session.exec(found)]


def forget_entered(session: Session, merchant_id: int, account_id: int, draft: Draft) -> None:
    """Forgets it: it is saved now, or the person began anew."""
    kept = find_entered(session, merchant_id, account_id, draft)
    if kept is not None:
        session.delete(kept)
        session.flush()


def forget_everybodys(session: Session, merchant_id: int, recipe_id: int) -> None:
    """Forgets what anybody entered for a recipe that is deleted: another one may get its number."""
    session.execute(
        delete(UnsavedForm).where(
            col(UnsavedForm.merchant_id) == merchant_id, col(UnsavedForm.recipe) == str(recipe_id)
        )
    )


def _recipe(draft: Draft) -> str:
    if draft.recipe_id is not None:
        return str(draft.recipe_id)
    return f"{ANOTHER}{draft.prebuilt}" if draft.another else draft.prebuilt or ""
