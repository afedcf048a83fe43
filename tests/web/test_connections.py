"""Connections: added, checked, changed and removed on the pages; secrets go in and never come out."""

import json

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from recipes import connections
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import Connection, ConnectionState, Run, RunState
from recipes.vault import Place, Vault
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import SLACK_TOKEN, World
from tests.web.slack_stand_in import StandIn

NEW_TOKEN = "xoxb-1111111111-another-one"


def stored(engine: Engine, vault: Vault, connection_id: int) -> dict[str, str]:
    """The credentials as they are kept."""
    with reading(engine) as session:
        connection = session.get_one(Connection, connection_id)
    opened: dict[str, str] = json.loads(
        vault.open(connection.credentials, Place("connection", "credentials", str(connection_id)))
    )
    return opened


def test_a_connection_is_added_and_checked_at_once(
    engine: Engine, vault: Vault, owner: Browser, world: World, slack: StandIn
) -> None:
    """The page that sent the merchant here is the one to come back to; it is told of the new connection."""
    form = {"name": "Second", "bot_token": NEW_TOKEN, "next": "/recipes/1?step=0"}
    answer = owner.post("/connections/new/slack", form)
    assert slack.calls == ["auth.test"]
    assert "Second works: Acme, as wire." in owner.get("/connections").text
    with reading(engine) as session:
        made = session.exec(select(Connection).where(Connection.name == "Second")).one()
    assert answer.location == f"/recipes/1?step=0&connection={made.id}"
    assert stored(engine, vault, made.id or 0) == {"bot_token": NEW_TOKEN}


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:1"]
)
def test_the_way_back_is_one_of_our_pages(owner: Browser, world: World, slack: StandIn, elsewhere: str) -> None:
    """A link to the form cannot lead off to another site."""
    form = {"name": "Second", "bot_token": NEW_TOKEN, "next": elsewhere}
    assert owner.post("/connections/new/slack", form).location == "/connections"
    assert elsewhere not in owner.get(f"/connections/new/slack?next={elsewhere}").text


def test_problems_stand_under_their_fields(owner: Browser, world: World) -> None:
    """And what was typed into the secret is not sent back."""
    answer = owner.post("/connections/new/slack", {"name": "", "bot_token": "typed-by-mistake"})
    assert answer.status_code == 422
    assert "The connection needs a name." in answer.text
    assert "starts with xoxb-" in answer.text
    assert "typed-by-mistake" not in answer.text


def test_a_blank_secret_stays_as_it_was(
    engine: Engine, vault: Vault, owner: Browser, world: World, slack: StandIn
) -> None:
    """Reconnecting without typing anything keeps what is stored; with a new one, that."""
    assert "Leave it blank to keep it as it is." in owner.get(f"/connections/{world.connection_id}").text
    owner.post(f"/connections/{world.connection_id}", {"bot_token": ""})
    assert stored(engine, vault, world.connection_id) == {"bot_token": SLACK_TOKEN}
    owner.post(f"/connections/{world.connection_id}", {"bot_token": NEW_TOKEN})
    assert stored(engine, vault, world.connection_id) == {"bot_token": NEW_TOKEN}


def test_reconnecting_lets_held_runs_go_on(engine: Engine, owner: Browser, world: World, slack: StandIn) -> None:
    """The page says why it is paused and how many wait."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.QUEUED
        runs.hold(session, world.connection_id, reason="Slack does not accept our token.", now=NOW)
    page = owner.get("/connections").text
    assert "Slack does not accept our token. 1 run waits until you reconnect; none is lost." in page
    owner.post(f"/connections/{world.connection_id}", {"bot_token": NEW_TOKEN})
    with reading(engine) as session:
        assert session.get_one(Run, world.run_id).state == RunState.QUEUED
        assert session.get_one(Connection, world.connection_id).state == ConnectionState.ACTIVE


def test_a_check_that_fails_says_why(owner: Browser, world: World, slack: StandIn) -> None:
    """In the service's case, in our words."""
    slack.refuses = "invalid_auth"
    owner.post(f"/connections/{world.connection_id}/check")
    page = owner.get("/connections").text
    assert "Slack does not work. Slack does not accept our token." in page


def test_refused_credentials_pause_the_connection(engine: Engine, owner: Browser, world: World, slack: StandIn) -> None:
    """As a run that meets them does: its row, Home and the recipes on it say so, and its runs wait."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.QUEUED
    slack.refuses = "invalid_auth"
    owner.post(f"/connections/{world.connection_id}/check")
    page = owner.get("/connections").text
    assert "Slack does not accept our token. Reconnect Slack. 1 run waits until you reconnect" in page
    assert "Not checked yet" not in page
    assert "Reconnect Slack: 1 run is waiting." in owner.get("/").text
    recipe = f"/recipes/{world.recipe_id}"
    owner.post(recipe, {**owner.fields(recipe, "recipe"), "do": "save"})
    assert "They wait until you reconnect Slack; none is lost." in owner.get(recipe).text
    with reading(engine) as session:
        assert session.get_one(Run, world.run_id).state == RunState.HELD


def test_a_check_that_could_not_be_made_changes_nothing(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """The service's trouble says nothing about our credentials."""
    slack.refuses = "service_unavailable"
    owner.post(f"/connections/{world.connection_id}/check")
    assert "Slack could not be checked just now." in owner.get("/connections").text
    with reading(engine) as session:
        assert session.get_one(Connection, world.connection_id).state == ConnectionState.ACTIVE


def test_reconnecting_with_nothing_new_ends_no_pause_by_itself(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """Only the service can tell that what it refused works again, and it has trouble of its own."""
    with transaction(engine) as session:
        runs.hold(session, world.connection_id, reason="Slack does not accept our token.", now=NOW)
    slack.refuses = "service_unavailable"
    for token in ("", SLACK_TOKEN):
        owner.post(f"/connections/{world.connection_id}", {"bot_token": token})
        assert "Slack could not be checked just now." in (page := owner.get("/connections").text)
        assert "It stays paused until then." in page
    with reading(engine) as session:
        assert session.get_one(Connection, world.connection_id).state == ConnectionState.PAUSED
    slack.refuses = ""
    owner.post(f"/connections/{world.connection_id}", {"bot_token": ""})
    with reading(engine) as session:
        assert session.get_one(Connection, world.connection_id).state == ConnectionState.ACTIVE


def test_a_connection_in_use_is_not_removed(engine: Engine, owner: Browser, world: World) -> None:
    """The page says what needs it; once that is off it goes, credentials and all."""
    owner.post(f"/connections/{world.connection_id}/remove")
    assert "is used by" in owner.get("/connections").text
    owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "no"})
    owner.post(f"/connections/{world.connection_id}/remove")
    assert "is removed, with its credentials." in owner.get("/connections").text
    with reading(engine) as session:
        assert connections.of_merchant(session, world.merchant_id) == []


def test_an_unknown_service_is_not_found(owner: Browser) -> None:
    """Addresses are typed by hand, too."""
    assert owner.get("/connections/new/nothing").status_code == 404
