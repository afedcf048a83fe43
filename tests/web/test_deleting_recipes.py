"""Deleting a recipe on its pages: said before, asked for once, and nothing it did is lost."""

from sqlalchemy import Engine
from sqlmodel import select

from recipes.db import reading, transaction
from recipes.models import Recipe, Run, RunState, UnsavedForm
from tests.web.browser import Browser
from tests.web.conftest import PREBUILT, World


def test_what_will_happen_is_said_first(engine: Engine, owner: Browser, world: World) -> None:
    """To look changes nothing."""
    url = f"/recipes/{world.recipe_id}/delete"
    assert f'href="{url}"' in owner.get(f"/recipes/{world.recipe_id}").text
    page = owner.get(url).text
    assert "Delete “Post reviews to Slack”?" in page
    assert "What it did stays: its run is kept, with all that was tried." in page
    assert "1 failed: you can still run them again or set them aside." in page
    assert "cancel_waiting" not in page
    with reading(engine) as session:
        assert session.get_one(Recipe, world.recipe_id).deleted_at is None


def test_a_deleted_recipe_is_on_the_shelf_as_not_set_up(owner: Browser, world: World) -> None:
    """And has no page any more; its run has, which does not lead there."""
    answer = owner.post(f"/recipes/{world.recipe_id}/delete")
    assert answer.location == "/recipes"
    shelf = owner.get("/recipes").text
    assert "“Post reviews to Slack” is deleted." in shelf
    assert f'href="/recipes/new/{PREBUILT}"' in shelf
    assert 'role="switch"' not in shelf
    for address in (f"/recipes/{world.recipe_id}", f"/recipes/{world.recipe_id}/delete"):
        assert owner.get(address).status_code == 404
        assert owner.post(address).status_code == 404
    run = owner.get(f"/runs/{world.run_id}").text
    assert "Post reviews to Slack" in run
    assert "This recipe has been deleted." in run
    assert f"/recipes/{world.recipe_id}" not in run
    assert "Post reviews to Slack" in owner.get("/activity/runs").text


def test_what_was_half_changed_goes_with_it(engine: Engine, owner: Browser, world: World) -> None:
    """Else it might come up in another recipe, should that get the number one day."""
    owner.post(f"/recipes/{world.recipe_id}", {"do": "connect.0", "title": "Half"})
    with reading(engine) as session:
        assert session.exec(select(UnsavedForm.recipe)).all() == [str(world.recipe_id)]
    owner.post(f"/recipes/{world.recipe_id}/delete")
    with reading(engine) as session:
        assert session.exec(select(UnsavedForm.recipe)).all() == []


def test_runs_that_wait_finish_or_are_called_off(engine: Engine, owner: Browser, world: World) -> None:
    """As the merchant says."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.HELD
    page = owner.get(f"/recipes/{world.recipe_id}/delete").text
    assert "1 run is still under way and will finish." in page
    assert "Cancel the 1 run that waits" in page
    owner.post(f"/recipes/{world.recipe_id}/delete", {"cancel_waiting": "yes"})
    assert "1 waiting run was cancelled." in owner.get("/recipes").text
    with reading(engine) as session:
        run = session.get_one(Run, world.run_id)
    assert (run.state, run.outcome) == (RunState.CANCELLED, "Cancelled when the recipe was deleted.")
