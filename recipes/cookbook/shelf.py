"""The shelf: every shipped recipe and the merchant's own, by event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from recipes import conditions, connections
from recipes.cookbook.drafts import definition_of
from recipes.definition import Definition
from recipes.events import EVENT_TYPES, EventType
from recipes.models import Connection, ConnectionState, Recipe
from recipes.prebuilt import PREBUILT, Prebuilt


@dataclass(frozen=True)
class ShelfEntry:
    """A recipe on the shelf. `recipe_id` is None while it is not set up.

    name: what the command line calls it. own_title: the merchant's, "" while it has the shipped one's. conditions: what
    has to hold besides, in sentences; of a shipped recipe its sentence tells. only_if: all of them in one sentence, ""
    without. apps: the services it uses. missing: those among them that the merchant has no connection to yet.
    waits_for: the connection that is paused, if one is. twin: the recipe that undoes it.
    """

    name: str
    title: str
    own_title: str
    sentence: str
    conditions: Sequence[str]
    only_if: str
    apps: Sequence[str]
    missing: Sequence[str]
    prebuilt: str | None
    recipe_id: int | None
    enabled: bool
    runs_on: str
    twin: str | None
    waits_for: str | None


@dataclass(frozen=True)
class ShelfGroup:
    """The recipes for one event."""

    event: EventType
    entries: Sequence[ShelfEntry]


def shelf(session: Session, merchant_id: int) -> list[ShelfGroup]:
    """Every shipped recipe with what the merchant made of it, and the merchant's others, grouped by event."""
    there = select(Recipe).where(Recipe.merchant_id == merchant_id, col(Recipe.deleted_at).is_(None))
    mine = list(session.exec(there.order_by(col(Recipe.id))))
    by_app: dict[str, list[Connection]] = {}
    for connection in connections.of_merchant(session, merchant_id):
        by_app.setdefault(connection.app, []).append(connection)
    entries: dict[str, list[ShelfEntry]] = {}
    names = {recipe.name for recipe in mine}
    for prebuilt in PREBUILT.values():
        if prebuilt.name not in names:
            entries.setdefault(prebuilt.event, []).append(_shipped(prebuilt, by_app))
        for recipe in mine:
            if recipe.prebuilt == prebuilt.name:
                entries.setdefault(prebuilt.event, []).append(_own(session, recipe, prebuilt, by_app))
    for recipe in mine:
        if recipe.prebuilt not in PREBUILT:
            entries.setdefault(recipe.event_type, []).append(_own(session, recipe, None, by_app))
    return [ShelfGroup(event, entries[event.name]) for event in EVENT_TYPES if event.name in entries]


def _shipped(prebuilt: Prebuilt, by_app: Mapping[str, Sequence[Connection]]) -> ShelfEntry:
    apps = list(dict.fromkeys(step.app for step in prebuilt.steps))
    return ShelfEntry(
        name=prebuilt.name,
        title=prebuilt.title,
        own_title="",
        sentence=prebuilt.sentence_with({}),
        conditions=(),
        only_if="",
        apps=apps,
        missing=_missing(apps, by_app),
        prebuilt=prebuilt.name,
        recipe_id=None,
        enabled=False,
        runs_on="live",
        twin=prebuilt.twin,
        waits_for=None,
    )


def _own(
    session: Session, recipe: Recipe, prebuilt: Prebuilt | None, by_app: Mapping[str, Sequence[Connection]]
) -> ShelfEntry:
    definition = definition_of(session, recipe)
    apps = list(dict.fromkeys(step.app for step in definition.steps))
    rows = [conditions.sentence(each, recipe.event_type) for each in definition.conditions]
    return ShelfEntry(
        name=recipe.name,
        title=recipe.title,
        own_title=recipe.title if prebuilt and recipe.title != prebuilt.title else "",
        sentence=prebuilt.sentence_with(_chosen(definition), [each.wait for each in definition.steps])
        if prebuilt
        else recipe.title,
        conditions=rows,
        only_if=f"Only if {(' or ' if definition.match == 'any' else ' and ').join(rows)}." if rows else "",
        apps=apps,
        missing=_missing(apps, by_app),
        prebuilt=recipe.prebuilt,
        recipe_id=recipe.id,
        enabled=recipe.enabled,
        runs_on=recipe.runs_on,
        twin=prebuilt.twin if prebuilt else None,
        waits_for=_paused(definition, by_app),
    )


def _chosen(definition: Definition) -> dict[str, str]:
    """What was chosen, by the field's name: the label where there is one, else the text."""
    chosen: dict[str, str] = {}
    for step in definition.steps:
        chosen.update({name: value for name, value in step.fields.items() if isinstance(value, str)})
        chosen.update(step.labels)
    return chosen


def _missing(apps: Sequence[str], by_app: Mapping[str, Sequence[Connection]]) -> list[str]:
    return [app for app in apps if app not in by_app and not connections.needs_no_credentials(app)]


def _paused(definition: Definition, by_app: Mapping[str, Sequence[Connection]]) -> str | None:
    used = {step.connection_id for step in definition.steps}
    for connections_of_app in by_app.values():
        for connection in connections_of_app:
            if connection.id in used and connection.state == ConnectionState.PAUSED:
                return connection.name
    return None
