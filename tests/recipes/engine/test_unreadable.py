"""A recipe that cannot be read, or an event with no place, fails by itself: no turn of the engine stops for it."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import Session, select

from recipes import cookbook, ledger
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.definition import Definition
from recipes.engine import keeping
from recipes.engine.fanning_out import Cook, run_of
from recipes.models import Recipe, RecipeVersion, RunState
from tests.conftest import NOW
from tests.recipes.engine.kitchen import Kitchen, order, step

# As a later release may have written it.
BROKEN = {"event": "order.completed", "steps": [], "of_a_later_release": True}


def _row(kitchen: Kitchen) -> dict[str, Any]:
    return step("ledger", "put_row", kitchen.connect("ledger"), table="T", key="{{ order.id }}", columns={"A": "1"})


def _define(kitchen: Kitchen, recipe: int, definition: dict[str, Any]) -> None:
    with transaction(kitchen.engine) as session:
        version = session.exec(select(RecipeVersion).where(RecipeVersion.recipe_id == recipe)).one()
        version.definition = definition


def test_the_other_recipes_and_events_go_on(kitchen: Kitchen) -> None:
    """The run is there, failed, with what to do; once the recipe is mended it runs."""
    row = _row(kitchen)
    broken, _ = kitchen.recipe("order.completed", row), kitchen.recipe("order.completed", row)
    _define(kitchen, broken, BROKEN)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED, RunState.SUCCEEDED]
    with reading(kitchen.engine) as session:
        needed = ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now)
    assert [each.note for each in needed if each.kind == "runs_failed"] == [
        "This recipe cannot be read any more, and nothing was done. Set it up and save it, then run this again."
    ]
    with pytest.raises(runs.RunRequestError, match="cannot be read any more"):
        kitchen.run_again(1)
    _define(kitchen, broken, {"event": "order.completed", "steps": [row]})
    kitchen.run_again(1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED] * 2


def test_a_run_that_was_made_before_fails_and_its_lane_goes_on(kitchen: Kitchen) -> None:
    """As when another release is put in place while runs wait."""
    row = _row(kitchen)
    broken, _ = kitchen.recipe("order.completed", row), kitchen.recipe("order.completed", row)
    kitchen.deliver("order.completed", order(1))
    with transaction(kitchen.engine) as session:
        runs.fan_out(session, now=kitchen.now)
    _define(kitchen, broken, BROKEN)
    for _ in range(3):
        kitchen.turn()
    assert kitchen.states() == [RunState.FAILED, RunState.SUCCEEDED]
    assert kitchen.runs()[0].lease is None


def test_a_run_whose_engine_died_is_recovered_with_the_others(kitchen: Kitchen) -> None:
    """Then it fails."""
    row = _row(kitchen)
    broken = kitchen.recipe("order.completed", row)
    kitchen.recipe("order.completed", {**row, "connection_id": kitchen.connect("ledger")})
    kitchen.deliver("order.completed", order(1))
    assert len(kitchen.claim()) == 2
    _define(kitchen, broken, BROKEN)
    kitchen.later(minutes=10)
    assert kitchen.recover() == 2
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED, RunState.SUCCEEDED]


def test_what_was_kept_of_a_recipe_that_cannot_be_read_fails_as_well(kitchen: Kitchen) -> None:
    """Each event has its run, to be run later; the turn after it has nothing left to do."""
    broken = kitchen.recipe("order.completed", _row(kitchen))
    with transaction(kitchen.engine) as session:
        keeping.begin(session, session.get_one(Recipe, broken), NOW)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(minutes=1)
    with transaction(kitchen.engine) as session:
        keeping.end(session, session.get_one(Recipe, broken), kitchen.now)
        cookbook.run_kept(session, kitchen.endpoint.merchant_id, broken, kitchen.now)
    _define(kitchen, broken, BROKEN)
    with transaction(kitchen.engine) as session:
        assert runs.make_kept_runs(session, now=kitchen.now) == 1
        assert not runs.has_kept_work(session)
    assert kitchen.states() == [RunState.FAILED]


def test_an_event_that_finds_no_place_has_a_run_that_failed() -> None:
    """Whatever it is that breaks: all other events' runs are made in the same turn."""
    recipe = Recipe(id=1, merchant_id=1, name="r", title="R", event_type="order.completed")
    cook = Cook(recipe, 1, Definition(event="order.completed", steps=[{"app": "slack", "action": "post_message"}]))
    event = SimpleNamespace(id=7, merchant_id=1, occurred_at=NOW)
    made = run_of(Session(), event, cook, {}, NOW + timedelta(seconds=1))
    assert (made["event_id"], made["state"]) == (7, RunState.FAILED)
    assert made["outcome"].startswith("Something unexpected happened before anything was done.")


def test_the_merchants_pages_show_it(kitchen: Kitchen) -> None:
    """The run without its steps; the recipe as it is shipped, to be set up and saved anew."""
    row = _row(kitchen)
    broken = kitchen.recipe("order.completed", row)
    _define(kitchen, broken, BROKEN)
    with transaction(kitchen.engine) as session:
        session.get_one(Recipe, broken).prebuilt = "order.completed/ledger-row"
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    mine = kitchen.endpoint.merchant_id
    with reading(kitchen.engine) as session:
        detail = ledger.run_detail(session, mine, 1)
        assert detail is not None
        assert list(detail.steps) == []
        draft = cookbook.draft_of_recipe(session, mine, broken)
        assert draft is not None
        assert [each.action for each in draft.steps] == ["put_row"]
        assert any(entry.recipe_id == broken for group in cookbook.shelf(session, mine) for entry in group.entries)
