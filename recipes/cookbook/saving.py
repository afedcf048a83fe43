"""Saving a draft, and switching a recipe on and off."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, update
from sqlmodel import Session, col, select

from integrations import integration
from recipes import connections, jobs
from recipes.cookbook.checking import ChangedMeanwhile, CookbookError, problems
from recipes.cookbook.drafts import Draft, StepDraft, definition_of, draft_of_recipe, find_recipe, version_of
from recipes.cookbook.recent import recent_payloads
from recipes.db import Lock, one_at_a_time
from recipes.definition import Definition, Step
from recipes.engine import keeping
from recipes.models import (
    DELAYED_STATES,
    OPEN_STATES,
    Connection,
    ConnectionState,
    Recipe,
    RecipeVersion,
    Run,
    RunState,
    among,
)
from recipes.vault import Vault

WAITING = (RunState.QUEUED, RunState.WAITING, RunState.HELD, RunState.DELAYED)


@dataclass(frozen=True)
class Disabled:
    """What switching off meant: runs still under way and runs cancelled."""

    under_way: int
    cancelled: int

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return " ".join(["The recipe is off: it takes no new events.", *self.runs])

    @property
    def runs(self) -> list[str]:
        """What becomes of its runs, in sentences; none if there was none under way."""
        cancelled = "1 waiting run was" if self.cancelled == 1 else f"{self.cancelled} waiting runs were"
        said = [f"{cancelled} cancelled."] if self.cancelled else []
        return [*said, under_way_sentence(self.under_way)] if self.under_way else said


def save(session: Session, vault: Vault, merchant_id: int, draft: Draft, *, by: str, now: datetime) -> Recipe:
    """Checks and saves a draft as a new version of its recipe; the recipe, off if it is new.

    by: who saved it (an e-mail address, "command line"). A service without credentials is connected by itself.
    What is under way keeps the version it began with. Saving a shipped recipe that the merchant has already changes
    that one, unless `another` is asked for. Raises CookbookError, ChangedMeanwhile among them.
    """
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    draft = _connected(session, vault, merchant_id, draft, now)
    found = problems(session, merchant_id, draft, recent_payloads(session, merchant_id, draft.event, draft.runs_on))
    if found:
        raise CookbookError(found)
    recipe = _recipe(session, merchant_id, draft, now)
    _add_version(session, recipe, _definition(draft), by, now)
    return recipe


def _connected(session: Session, vault: Vault, merchant_id: int, draft: Draft, now: datetime) -> Draft:
    steps = [replace(step, connection_id=_connection(session, vault, merchant_id, step, now)) for step in draft.steps]
    return replace(draft, steps=steps)


def _connection(session: Session, vault: Vault, merchant_id: int, step: StepDraft, now: datetime) -> int | None:
    """The step's connection; where none is given and none is needed, the first there is or a new one."""
    if step.connection_id is not None or not connections.needs_no_credentials(step.app):
        return step.connection_id
    there = connections.of_app(session, merchant_id, step.app)
    title = integration(step.app).title
    return (there[0] if there else connections.add(session, vault, merchant_id, step.app, title, {}, now)).id


def _recipe(session: Session, merchant_id: int, draft: Draft, now: datetime) -> Recipe:
    name = _name(draft)
    if draft.recipe_id is not None:
        recipe = find_recipe(session, merchant_id, draft.recipe_id)
        if recipe is None:
            raise CookbookError({"": "This recipe is not there any more."})
    else:
        recipe = find_recipe(session, merchant_id, name)
        if recipe is not None and draft.another:
            raise CookbookError({"title": f"There is already a recipe called “{draft.title}”: give it another title."})
    is_new = recipe is None
    if recipe is None:
        recipe = Recipe(
            merchant_id=merchant_id, name=name, prebuilt=draft.prebuilt, event_type=draft.event, version=0,
            title=draft.title, created_at=now,
        )  # fmt: skip
    elif draft.made_from not in (None, recipe.version):
        latest = version_of(session, recipe)
        raise ChangedMeanwhile(latest.version, latest.created_by, latest.created_at)
    recipe.title = " ".join(draft.title.split())
    recipe.runs_on = draft.runs_on
    session.add(recipe)
    session.flush()
    if is_new:
        # What comes from now until it is first switched on is kept for it; what came before it was made is not.
        keeping.begin(session, recipe, now)
    return recipe


def _name(draft: Draft) -> str:
    """What the command line calls the recipe: as it is shipped; one beside it has its title's words added."""
    words = re.sub(r"[^a-z0-9]+", "-", draft.title.lower()).strip("-")
    if draft.prebuilt is None:
        return f"{draft.event}/{words}"
    return f"{draft.prebuilt}-{words}" if draft.another else draft.prebuilt


def _definition(draft: Draft) -> Definition:
    return Definition(
        event=draft.event,
        match=draft.match,
        conditions=list(draft.conditions),
        steps=[
            Step(
                app=step.app,
                action=step.action,
                connection_id=step.connection_id,
                fields={name: value for name, value in step.fields.items() if value is not None},
                labels=dict(step.labels),
                wait=step.wait,
            )
            for step in draft.steps
        ],
    )


def _add_version(session: Session, recipe: Recipe, definition: Definition, by: str, now: datetime) -> None:
    if recipe.id is None:
        raise ValueError("the recipe is not stored yet")
    recipe.version += 1
    session.add(
        RecipeVersion(
            recipe_id=recipe.id,
            version=recipe.version,
            definition=definition.model_dump(mode="json"),
            created_at=now,
            created_by=by,
        )
    )
    session.flush()


def enable(session: Session, merchant_id: int, recipe_id: int, now: datetime) -> Recipe:
    """Switches a recipe on: it takes the events that come from now on; `kept_events` tells of those that came before.

    Raises CookbookError.
    It is checked once more: a connection may have gone, or a field have become required, since it was saved.
    """
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    recipe = find_recipe(session, merchant_id, recipe_id)
    draft = draft_of_recipe(session, merchant_id, recipe_id)
    if recipe is None or draft is None:
        raise CookbookError({"": "There is no such recipe."})
    if recipe.enabled:
        return recipe
    found = problems(session, merchant_id, draft, recent_payloads(session, merchant_id, draft.event, draft.runs_on))
    if found:
        raise CookbookError(found)
    keeping.end(session, recipe, now)
    recipe.enabled = True
    recipe.enabled_at = now
    session.add(recipe)
    session.flush()
    return recipe


def waits_for(session: Session, recipe: Recipe) -> Connection | None:
    """The paused connection that a recipe's runs wait for, if one of those that it uses is."""
    used = [step.connection_id for step in definition_of(session, recipe).steps if step.connection_id is not None]
    paused = select(Connection).where(col(Connection.id).in_(used), Connection.state == ConnectionState.PAUSED)
    return session.exec(paused.order_by(col(Connection.id))).first()


def disable(
    session: Session,
    merchant_id: int,
    recipe_id: int,
    now: datetime,
    *,
    cancel_waiting: bool = False,
    why: str = "Cancelled when the recipe was switched off.",
) -> Disabled:
    """Switches a recipe off: it takes no new events. Its runs that wait finish, unless `cancel_waiting`; `why` is kept.

    Waiting, too, are those of events that came before and have no run yet. A run in the middle of a call finishes in
    any case. Raises CookbookError if there is no such recipe.
    """
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    recipe = find_recipe(session, merchant_id, recipe_id)
    if recipe is None:
        raise CookbookError({"": "There is no such recipe."})
    if recipe.enabled:
        keeping.begin(session, recipe, now)
    recipe.enabled = False
    session.add(recipe)
    session.flush()
    if cancel_waiting:
        keeping.forget_unmade(session, recipe)
    cancelled = _cancel_waiting(session, recipe_id, now, why) if cancel_waiting else 0
    under_way = sum(session.exec(select(func.count()).where(each)).one() for each in _are_under_way(recipe_id))
    return Disabled(under_way, cancelled)


def _cancel_waiting(session: Session, recipe_id: int, now: datetime, why: str) -> int:
    cancelled = 0
    for are_under_way in _are_under_way(recipe_id):
        ended = session.execute(
            update(Run)
            .where(are_under_way, col(Run.state).in_(WAITING))
            .values(state=RunState.CANCELLED, outcome=why, finished_at=now)
            .returning(col(Run.id))
        )
        cancelled += len(ended.all())
    # What they kept from going goes now.
    jobs.look_soon(session)
    return cancelled


def _are_under_way(recipe_id: int) -> list[ColumnElement[bool]]:
    """The conditions for a recipe's runs that have not ended: delayed or open, each in the words of its index.

    Adding nothing keeps SQLite from going through all that the recipe ever did instead. Delayed ones come first: one
    whose wait ends meanwhile is then met as an open one.
    """
    of_it = col(Run.recipe_id) + 0 == recipe_id
    return [and_(of_it, among(col(Run.state), states)) for states in (DELAYED_STATES, OPEN_STATES)]


def under_way_sentence(count: int) -> str:
    """What becomes of runs that are under way when their recipe takes no new events."""
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return f"{runs} still under way and will finish."
