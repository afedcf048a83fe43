"""What was entered for a recipe is not lost while its service is being connected."""

import re
from collections.abc import Mapping
from dataclasses import replace

from flask import Flask
from sqlalchemy import Engine
from sqlmodel import select

from recipes import connections, cookbook
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import Connection, Merchant, Recipe, UnsavedForm
from recipes.vault import Vault
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import PREBUILT, World, account_of
from tests.web.slack_stand_in import StandIn

NEW, TOKEN = f"/recipes/new/{PREBUILT}", "xoxb-1111111111-another-one"
TYPED: Mapping[str, object] = {
    "title": "  Stars",
    "runs_on": "both",
    "match": "any",
    "fact": ["review.rating", "product.name"],
    "operator": ["at_most", "is"],
    "value": ["many", "Atlas & Co"],
    "steps.0.fields.text": "Half a {{ sentence",
    "do": "connect.0",
}


def entered(browser: Browser, url: str) -> dict[str, object]:
    """What stands in a recipe's form, without its token."""
    fields = browser.fields(url, "recipe")
    del fields["csrf_token"]
    return fields


def connect(browser: Browser, url: str, name: str) -> str:
    """Sends the form of a new connection as it stands, with a token; where it leads."""
    [back] = re.findall(r'name="next" value="([^"]*)"', browser.get(url).text)
    answer = browser.post(url, {"name": name, "bot_token": TOKEN, "next": back})
    assert answer.status_code == 302
    return answer.location


def number_of(engine: Engine, name: str) -> int:
    """The id of the connection of this name."""
    with reading(engine) as session:
        return session.exec(select(Connection).where(Connection.name == name)).one().id or 0


def test_a_recipe_in_the_making_is_there_after_connecting(engine: Engine, stranger: Browser, slack: StandIn) -> None:
    """However unfinished: as it was typed, with the new connection chosen."""
    assert "Connect Slack first." in stranger.get(NEW).text
    answer = stranger.post(NEW, TYPED)
    assert answer.location.startswith("/connections/new/slack?next=/recipes/new/")
    back = connect(stranger, answer.location, "Our Slack")
    found = entered(stranger, back)
    assert found["steps.0.connection"] == [str(number_of(engine, "Our Slack"))]
    assert (found["title"], found["runs_on"], found["match"]) == (["  Stars"], ["both"], ["any"])
    assert found["value"] == ["many", "Atlas & Co", ""]
    assert found["steps.0.fields.text"] == ["Half a {{ sentence"]
    page = stranger.get(back).text
    assert page.count('<option value="review.rating" data-kind="number" selected>') == 1
    assert "Not saved yet: this is how you left it" in page


def test_what_was_left_is_found_again_until_it_is_saved(engine: Engine, stranger: Browser, slack: StandIn) -> None:
    """By whatever way one comes back, without connecting too; afterwards the recipe is as it was saved."""
    stranger.post(NEW, TYPED)
    assert entered(stranger, NEW)["steps.0.fields.text"] == ["Half a {{ sentence"]
    connect(stranger, "/connections/new/slack?next=/", "Our Slack")
    ready = entered(stranger, NEW) | {"steps.0.fields.text": "All of it", "steps.0.fields.channel": "C1", "fact": []}
    saved = stranger.post(NEW, {**ready, "do": "save"}).location
    assert "how you left it" not in stranger.get(saved).text
    with reading(engine) as session:
        assert session.exec(select(UnsavedForm)).all() == []


def test_a_recipe_that_is_on_goes_on_as_it_was_saved(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """Wanting another connection changes nothing before it is saved, and what is half changed can be let go."""
    url = f"/recipes/{world.recipe_id}"
    before = entered(owner, url)
    leave = owner.post(url, {**before, "steps.0.fields.text": "Half", "do": "connect.0"}).location
    back = connect(owner, leave, "Second")
    found = entered(owner, back)
    assert (found["steps.0.fields.text"], found["steps.0.connection"]) == (["Half"], [str(number_of(engine, "Second"))])
    assert "Until you save, the recipe does what it did before." in owner.get(url).text
    with reading(engine) as session:
        assert session.get_one(Recipe, world.recipe_id).version == 1
    assert owner.post(url, {"do": "forget"}).location == url
    assert entered(owner, url) == before


def test_nobody_else_sees_what_was_left(
    app: Flask, engine: Engine, owner: Browser, stranger: Browser, world: World
) -> None:
    """Not another store, nor another person of the same one; and nobody else's connection gets into the form."""
    url = f"/recipes/{world.recipe_id}"
    owner.post(url, {**entered(owner, url), "steps.0.fields.text": "Half", "do": "connect.0"})
    with transaction(engine) as session:
        colleague = account_of(session, "colleague@acme.example", session.get_one(Merchant, world.merchant_id))
    other = Browser(app.test_client())
    other.sign_in(colleague)
    assert "how you left it" not in other.get(url).text
    assert "how you left it" in owner.get(url).text
    stranger.post(NEW, TYPED)
    assert "steps.0.connection" not in entered(stranger, f"{NEW}?step=0&connection={world.connection_id}")


def test_a_new_connection_is_for_the_step_it_was_made_for(
    engine: Engine, vault: Vault, owner: Browser, world: World, slack: StandIn
) -> None:
    """Another step of the same service keeps its own; one of another service is nobody's."""
    with transaction(engine) as session:
        draft = cookbook.draft_of_recipe(session, world.merchant_id, world.recipe_id)
        assert draft is not None
        twice = replace(draft, steps=[*draft.steps, *draft.steps])
        cookbook.save(session, vault, world.merchant_id, twice, by="a test", now=NOW)
        second = connections.add(session, vault, world.merchant_id, "slack", "Second", {"bot_token": TOKEN}, NOW)
        ledger = connections.add(session, vault, world.merchant_id, "ledger", "Ledger", {}, NOW)
    before = str(world.connection_id)
    for made, chosen in ((second, [before, str(second.id)]), (ledger, [before, before])):
        found = entered(owner, f"/recipes/{world.recipe_id}?step=1&connection={made.id}")
        assert [found[f"steps.{number}.connection"] for number in (0, 1)] == [[each] for each in chosen]


def test_recipes_says_what_is_not_saved_yet(owner: Browser, world: World, slack: StandIn) -> None:
    """With the way back to it, whether it was being set up, changed or made once more."""
    for url in (
        "/recipes/new/order.completed/slack-message",
        f"/recipes/{world.recipe_id}",
        "/recipes/another/order.completed/slack-message",
    ):
        owner.post(url, {**TYPED, "title": "Half made", "do": "connect.0"})
        assert f'You have not saved yet: <a href="{url}">Half made</a>' in owner.get("/recipes").text
        owner.post(url, {"do": "forget"})
        assert "You have not saved yet" not in owner.get("/recipes").text


def test_a_paused_connection_is_mended_from_the_recipe(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """What was entered is there after."""
    url = f"/recipes/{world.recipe_id}"
    with transaction(engine) as session:
        runs.hold(session, world.connection_id, reason="Slack does not accept our token.", now=NOW)
    assert 'value="reconnect.0">Reconnect</button>' in owner.get(url).text
    form = {**entered(owner, url), "steps.0.fields.text": "Half", "do": "reconnect.0"}
    there = owner.post(url, form).location
    assert there == f"/connections/{world.connection_id}?next={url}"
    assert owner.post(there, {"bot_token": "", "next": url}).location == url
    page = owner.get(url).text
    assert "Half</textarea>" in page
    assert "reconnect.0" not in page
