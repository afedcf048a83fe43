"""Drafts: a recipe as it is being set up, whole, before it is checked and saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal

from sqlmodel import Session, col, select

from recipes import connections
from recipes.definition import Condition, Definition, readable
from recipes.models import Recipe, RecipeVersion, RunsOn
from recipes.prebuilt import PREBUILT


@dataclass(frozen=True)
class StepDraft:
    """One step. `labels` are what was chosen as the merchant reads it, by the field's name ("#reviews").

    A field of pairs is a mapping; as entered with a name twice it is a list of them, which is refused by row. `wait`:
    how long before the step, as entered ("3 days"); "" for not at all.
    """

    app: str
    action: str
    connection_id: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    wait: str = ""


@dataclass(frozen=True)
class Draft:
    """What the set-up form or the command line asks for; begin with one of the two functions below and replace() it.

    prebuilt: the name of the shipped recipe it comes from. recipe_id: the recipe to change; None for a new one.
    another: a new recipe beside the one that is there already; it needs a title of its own. made_from: the version of
    the recipe that was looked at, 0 when there was none, to save over no other; None where nobody looked.
    """

    prebuilt: str | None
    recipe_id: int | None
    title: str
    event: str
    steps: Sequence[StepDraft]
    conditions: Sequence[Condition] = ()
    match: Literal["all", "any"] = "all"
    runs_on: RunsOn = RunsOn.LIVE
    another: bool = False
    made_from: int | None = None


def draft_from_prebuilt(session: Session, merchant_id: int, name: str) -> Draft | None:
    """A shipped recipe as a draft, None if there is none of that name.

    Where the merchant has exactly one connection to a step's service, it is filled in.
    """
    prebuilt = PREBUILT.get(name)
    if prebuilt is None:
        return None
    return Draft(
        prebuilt=name,
        recipe_id=None,
        title=prebuilt.title,
        event=prebuilt.event,
        steps=[
            StepDraft(
                step.app,
                step.action,
                _only_connection(session, merchant_id, step.app),
                dict(step.fields),
                wait=step.wait,
            )
            for step in prebuilt.steps
        ],
        conditions=tuple(prebuilt.conditions),
        match=prebuilt.match,
    )


def another_draft(session: Session, merchant_id: int, name: str) -> Draft | None:
    """A shipped recipe as a draft to stand beside what the merchant made of it; None if there is none of that name.

    Its title has a number that tells it apart.
    """
    draft = draft_from_prebuilt(session, merchant_id, name)
    if draft is None:
        return None
    there = select(Recipe.title).where(Recipe.merchant_id == merchant_id, col(Recipe.deleted_at).is_(None))
    taken = set(session.exec(there))
    title = next(each for number in count(2) if (each := f"{draft.title} ({number})") not in taken)
    return replace(draft, title=title, another=True)


def draft_of_recipe(session: Session, merchant_id: int, recipe_id: int) -> Draft | None:
    """A merchant's recipe as a draft, None if there is none of that id."""
    recipe = find_recipe(session, merchant_id, recipe_id)
    if recipe is None:
        return None
    definition = definition_of(session, recipe)
    return Draft(
        prebuilt=recipe.prebuilt,
        recipe_id=recipe.id,
        title=recipe.title,
        event=recipe.event_type,
        steps=[
            StepDraft(step.app, step.action, step.connection_id, dict(step.fields), dict(step.labels), step.wait)
            for step in definition.steps
        ],
        conditions=tuple(definition.conditions),
        match=definition.match,
        runs_on=RunsOn(recipe.runs_on),
    )


def find_recipe(session: Session, merchant_id: int, recipe: int | str) -> Recipe | None:
    """A merchant's recipe by its id or its name; None if there is none, if it is deleted or another merchant's."""
    which = Recipe.id == recipe if isinstance(recipe, int) else Recipe.name == recipe
    is_there = col(Recipe.deleted_at).is_(None)
    return session.exec(select(Recipe).where(Recipe.merchant_id == merchant_id, is_there, which)).first()


def definition_of(session: Session, recipe: Recipe) -> Definition:
    """A recipe's definition in the version in use; as it is shipped where that cannot be read any more."""
    return readable(version_of(session, recipe).definition) or _as_shipped(recipe)


def _as_shipped(recipe: Recipe) -> Definition:
    prebuilt = PREBUILT.get(recipe.prebuilt or "")
    if prebuilt is None:
        return Definition.model_construct(event=recipe.event_type, steps=[])
    return Definition(
        event=prebuilt.event, match=prebuilt.match, conditions=list(prebuilt.conditions), steps=list(prebuilt.steps)
    )


def version_of(session: Session, recipe: Recipe) -> RecipeVersion:
    """The version of a recipe that is in use: its definition, and who saved it when."""
    found = select(RecipeVersion).where(RecipeVersion.recipe_id == recipe.id, RecipeVersion.version == recipe.version)
    return session.exec(found).one()


def _only_connection(session: Session, merchant_id: int, app: str) -> int | None:
    found = connections.of_app(session, merchant_id, app)
    return found[0].id if len(found) == 1 else None
