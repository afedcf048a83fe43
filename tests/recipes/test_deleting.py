"""Deleting a recipe: no new runs, and none that is there is lost."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from recipes import cookbook, ledger
from recipes.cookbook import CookbookError
from recipes.db import reading, transaction
from recipes.models import Merchant, Recipe, RecipeVersion, RunState
from recipes.retention import forget_old
from recipes.vault import Vault
from tests.conftest import NOW, both_databases
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order

pytestmark = both_databases

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]

LEDGER = "order.completed/ledger-row"


def set_up(session: Session, vault: Vault, merchant_id: int, kitchen: Kitchen) -> int:
    """The shipped Ledger recipe, saved and on; its number."""
    draft = cookbook.draft_from_prebuilt(session, merchant_id, LEDGER)
    assert draft is not None
    recipe = cookbook.save(session, vault, merchant_id, draft, by="ada@example.com", now=kitchen.now)
    return cookbook.enable(session, merchant_id, recipe.id or 0, kitchen.now).id or 0


@pytest.fixture
def mine(kitchen: Kitchen) -> int:
    """The merchant's id."""
    return kitchen.endpoint.merchant_id


@pytest.fixture
def recipe_id(kitchen: Kitchen, vault: Vault, mine: int) -> int:
    """A recipe that is on, with one run that is done and one that waits."""
    with transaction(kitchen.engine) as session:
        number = set_up(session, vault, mine, kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("order.completed", order(2))
    kitchen.claim(limit=0)
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.QUEUED]
    return number


def test_its_runs_stay_and_what_is_under_way_finishes(kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    with transaction(kitchen.engine) as session:
        said = cookbook.delete(session, mine, recipe_id, kitchen.now)
    assert said == "“Keep orders in the Ledger” is deleted. 1 run is still under way and will finish."
    kitchen.deliver("order.completed", order(3))
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    with reading(kitchen.engine) as session:
        lines = ledger.runs_page(session, mine).items
        detail = ledger.run_detail(session, mine, lines[0].id)
    assert [(line.recipe_title, line.recipe_is_deleted) for line in lines] == [("Keep orders in the Ledger", True)] * 2
    assert detail is not None
    assert [attempt.outcome for attempt in detail.attempts] == ["Row order_2 added to Orders."]


def test_what_waits_is_cancelled_only_when_asked(kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    with transaction(kitchen.engine) as session:
        said = cookbook.delete(session, mine, recipe_id, kitchen.now, cancel_waiting=True)
    assert said.endswith("is deleted. 1 waiting run was cancelled.")
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.CANCELLED]


def test_a_failed_run_of_a_deleted_recipe_can_still_be_run_again(kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    with transaction(kitchen.engine) as session:
        for run in kitchen.runs():
            run.state = RunState.FAILED
            session.add(run)
        cookbook.delete(session, mine, recipe_id, kitchen.now)
        [item] = ledger.needs_attention(session, mine, kitchen.now)
    assert (item.sentence, item.count) == ("“Keep orders in the Ledger”: 2 runs failed.", 2)
    kitchen.run_again(kitchen.runs()[1].id)
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED, RunState.SUCCEEDED]


def test_it_is_on_the_shelf_as_not_set_up_and_can_be_set_up_anew(
    kitchen: Kitchen, vault: Vault, mine: int, recipe_id: int
) -> None:
    """More than once, and what came before is not run for the new one."""
    for _ in range(2):
        with transaction(kitchen.engine) as session:
            cookbook.delete(session, mine, recipe_id, kitchen.now)
            [entry] = [
                each for group in cookbook.shelf(session, mine) for each in group.entries if each.prebuilt == LEDGER
            ]
            assert (entry.recipe_id, entry.enabled) == (None, False)
            recipe_id = set_up(session, vault, mine, kitchen)
        kitchen.work()
    assert len(kitchen.states()) == 2


def test_what_it_would_mean_is_told_and_nothing_done(kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    with transaction(kitchen.engine) as session:
        meant = cookbook.deletion(session, mine, LEDGER)
        assert meant is not None
        first, second = kitchen.runs()
        for run, state in ((first, RunState.UNSURE), (second, RunState.FAILED)):
            run.state = state
            session.add(run)
        session.flush()
        troubled = cookbook.deletion(session, mine, recipe_id)
    assert meant.waiting == 1
    assert meant.sentences == (
        "It leaves your recipes and takes no new events.",
        "You can set it up anew at any time.",
        "What it did stays: its 2 runs are kept, with all that was tried.",
        "1 run is still under way and will finish.",
    )
    assert troubled is not None
    assert troubled.sentences[3:] == (
        "1 failed and 1 needs your word: you can still run them again or set them aside.",
    )


def test_a_stranger_neither_sees_nor_deletes_it(kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    with transaction(kitchen.engine) as session:
        other = Merchant(name="Eve's", created_at=NOW)
        session.add(other)
        session.flush()
        assert cookbook.deletion(session, other.id or 0, recipe_id) is None
        assert cookbook.deletion(session, other.id or 0, LEDGER) is None
        with pytest.raises(CookbookError):
            cookbook.delete(session, other.id or 0, recipe_id, kitchen.now)
        assert cookbook.find_recipe(session, mine, recipe_id) is not None


def test_a_deleted_recipe_cannot_be_saved_switched_or_deleted_again(
    kitchen: Kitchen, vault: Vault, mine: int, recipe_id: int
) -> None:
    """As from a page that stood open meanwhile."""
    with transaction(kitchen.engine) as session:
        draft = cookbook.draft_of_recipe(session, mine, recipe_id)
        assert draft is not None
        cookbook.delete(session, mine, recipe_id, kitchen.now)
        for attempt in (
            lambda: cookbook.save(session, vault, mine, replace(draft), by="ada@example.com", now=kitchen.now),
            lambda: cookbook.enable(session, mine, recipe_id, kitchen.now),
            lambda: cookbook.delete(session, mine, recipe_id, kitchen.now),
        ):
            with pytest.raises(CookbookError):
                attempt()


def test_no_code_can_have_a_deleted_recipe_on(kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    with pytest.raises(IntegrityError, match="ck_recipe_deleted"), transaction(kitchen.engine) as session:
        session.get_one(Recipe, recipe_id).deleted_at = kitchen.now


def test_it_is_gone_for_good_once_its_runs_are_old(engine: Engine, kitchen: Kitchen, mine: int, recipe_id: int) -> None:
    """Not before: a run without its recipe would have no name."""
    kitchen.work()
    with transaction(engine) as session:
        cookbook.delete(session, mine, recipe_id, kitchen.now)
    for days, left in ((399, [recipe_id]), (401, [])):
        kitchen.now = NOW
        kitchen.later(days=days)
        forget_old(engine, keep_days=400, now=kitchen.now, pause=lambda _: False)
        with reading(engine) as session:
            assert [recipe.id for recipe in session.exec(select(Recipe))] == left
            assert [version.recipe_id for version in session.exec(select(RecipeVersion))] == left
