"""Connections: credentials in, sealed; never out again; checked, changed and removed with care."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from integrations import integration, kit
from integrations.errors import Unauthorized
from recipes import connections, cookbook
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import Connection, ConnectionState, Merchant, Recipe, RunState
from recipes.settings import Settings, load_settings
from recipes.vault import Place, Vault
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

TOKEN = "xoxb-1234567890-abcdef"
FORUM = {"url": "https://forum.example.com", "api_key": "key-of-the-forum"}


@pytest.fixture
def mine(merchant: Merchant) -> int:
    """The merchant's id."""
    assert merchant.id is not None
    return merchant.id


@pytest.fixture
def stranger(engine: Engine) -> int:
    """Another merchant's id."""
    with transaction(engine) as session:
        other = Merchant(name="Eve's", created_at=NOW)
        session.add(other)
    return other.id or 0


@pytest.fixture
def settings_for_slack(settings: Settings, slack: Vendor) -> Settings:
    """Settings that send Slack's calls to the stand-in."""
    return load_settings(_env_file=None, data_dir=settings.data_dir, api_base={"slack": slack.url + "/"})


def add(session: Session, vault: Vault, merchant_id: int, name: str = "Our team") -> Connection:
    return connections.add(session, vault, merchant_id, "slack", name, {"bot_token": TOKEN}, NOW)


def opened(vault: Vault, connection: Connection) -> Any:
    """The credentials as they are stored."""
    return json.loads(vault.open(connection.credentials, Place("connection", "credentials", str(connection.id))))


def number(connection: Connection) -> int:
    assert connection.id is not None
    return connection.id


def test_credentials_are_sealed_and_open_for_the_service_only(engine: Engine, vault: Vault, mine: int) -> None:
    with transaction(engine) as session:
        connection = add(session, vault, mine, "  Our   team ")
    assert connection.name == "Our team"
    assert TOKEN.encode() not in connection.credentials
    assert connections.shown_values(vault, connection) == {}
    assert opened(vault, connection) == {"bot_token": TOKEN}


@pytest.mark.parametrize(
    ("name", "values", "problems"),
    [
        ("", {"bot_token": TOKEN}, {"name"}),
        ("x" * 81, {"bot_token": TOKEN}, {"name"}),
        ("Our team", {"bot_token": "xoxp-wrong"}, {"name", "bot_token"}),
        ("New", {}, {"bot_token"}),
        ("New", {"bot_token": TOKEN, "color": "red"}, {"color"}),
    ],
)
def test_wrong_values_are_named_and_not_repeated(
    engine: Engine, vault: Vault, mine: int, name: str, values: dict[str, str], problems: set[str]
) -> None:
    with transaction(engine) as session:
        add(session, vault, mine)
    with pytest.raises(kit.FormError) as refused, transaction(engine) as session:
        connections.add(session, vault, mine, "slack", name, values, NOW)
    assert set(refused.value.problems) == problems
    assert "xoxp-wrong" not in str(refused.value)


def test_two_merchants_may_use_the_same_name_and_never_see_each_other(
    engine: Engine, vault: Vault, mine: int, stranger: int
) -> None:
    with transaction(engine) as session:
        connection = add(session, vault, mine)
        add(session, vault, stranger)
        assert connections.of_merchant(session, mine) == [connection]
        assert connections.of_app(session, mine, "slack") == [connection]
        assert connections.get(session, mine, number(connection)) == connection
        assert connections.get(session, stranger, number(connection)) is None
        assert not connections.remove(session, stranger, number(connection))


def test_a_blank_secret_stays_as_it_was(engine: Engine, vault: Vault, mine: int) -> None:
    with transaction(engine) as session:
        connection = connections.add(session, vault, mine, "discourse", "Forum", FORUM, NOW)
        changed = {"url": "https://new.example.com", "api_key": "", "api_username": "robot"}
        connections.change(session, vault, connection, changed, NOW)
    assert connection.revision == 2
    assert connections.shown_values(vault, connection) == {"url": "https://new.example.com", "api_username": "robot"}
    assert opened(vault, connection)["api_key"] == FORUM["api_key"]


def test_a_change_that_is_wrong_changes_nothing(engine: Engine, vault: Vault, mine: int) -> None:
    with transaction(engine) as session:
        connection = connections.add(session, vault, mine, "discourse", "Forum", FORUM, NOW)
    with pytest.raises(kit.FormError), transaction(engine) as session:
        connections.change(session, vault, session.merge(connection), {"url": "", "api_key": ""}, NOW)
    with reading(engine) as session:
        again = connections.get(session, mine, number(connection))
    assert again is not None
    assert again.revision == 1
    assert connections.shown_values(vault, again)["url"] == FORUM["url"]


def test_credentials_whose_key_is_lost_can_be_given_anew(engine: Engine, vault: Vault, mine: int) -> None:
    with transaction(engine) as session:
        connection = add(session, Vault.from_keys(["a key that is gone by now, all of it"]), mine)
        assert connections.shown_values(vault, connection) == {}
        with pytest.raises(kit.FormError, match="Bot token is missing"):
            connections.change(session, vault, connection, {"bot_token": ""}, NOW)
        connections.change(session, vault, connection, {"bot_token": TOKEN}, NOW)
    assert opened(vault, connection) == {"bot_token": TOKEN}


def test_reconnecting_lets_the_held_runs_go_on_in_order(kitchen: Kitchen, vault: Vault) -> None:
    number = kitchen.connect("slack")
    kitchen.recipe("order.completed", step("slack", "post_message", number, channel="C1", text="Hi"))
    with transaction(kitchen.engine) as session:
        runs.hold(session, number, reason="Slack does not accept our token.", now=NOW)
    for each in (1, 2):
        kitchen.deliver("order.completed", order(each))
    kitchen.work()
    assert kitchen.states() == [RunState.HELD, RunState.HELD]
    with transaction(kitchen.engine) as session:
        connection = connections.get(session, kitchen.endpoint.merchant_id, number)
        assert connection is not None
        assert connections.change(session, vault, connection, {"bot_token": TOKEN + "-new"}, NOW) == 2
    assert connection.state == ConnectionState.ACTIVE
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_a_check_asks_the_service_with_no_transaction_open(
    engine: Engine, vault: Vault, mine: int, settings_for_slack: Settings, slack: Vendor
) -> None:
    with transaction(engine) as session:
        connection = add(session, vault, mine)
    open_during_the_call: list[bool] = []

    def greet(_request: object) -> object:
        # A writer that had to wait for the check's transaction would time out here.
        with transaction(engine) as session:
            session.add(Merchant(name="Meanwhile", created_at=NOW))
        open_during_the_call.append(False)
        return answer({"ok": True, "team": "Acme", "user": "pocketwire", "url": "https://acme.slack.com/"})

    slack.answers["POST /auth.test"] = greet  # type: ignore[assignment]
    later = NOW + timedelta(hours=1)
    said = connections.check(engine, vault, settings_for_slack, mine, number(connection), later)
    assert said == "Acme, as pocketwire"
    assert open_during_the_call == [False]
    with reading(engine) as session:
        again = connections.get(session, mine, number(connection))
    assert again is not None
    assert (again.account, again.checked_at) == ("Acme, as pocketwire", later)


def test_a_failed_check_says_why_and_keeps_what_was_known(
    engine: Engine, vault: Vault, mine: int, stranger: int, settings_for_slack: Settings, slack: Vendor
) -> None:
    with transaction(engine) as session:
        connection = add(session, vault, mine)
    slack.answers["POST /auth.test"] = answer({"ok": False, "error": "invalid_auth"})
    with pytest.raises(Unauthorized, match="does not accept our token") as refused:
        connections.check(engine, vault, settings_for_slack, mine, number(connection), NOW)
    assert refused.value.__cause__ is None
    with reading(engine) as session:
        paused = connections.get(session, mine, number(connection))
    assert paused is not None
    assert paused.paused_reason == "Slack does not accept our token. Reconnect Slack."
    assert connections.check(engine, vault, settings_for_slack, stranger, number(connection), NOW) is None


def test_a_refusal_of_credentials_that_were_changed_meanwhile_pauses_nothing(
    engine: Engine, vault: Vault, mine: int, settings_for_slack: Settings, slack: Vendor
) -> None:
    """It tells of the old ones."""
    with transaction(engine) as session:
        connection = add(session, vault, mine)

    def refuse(*_: object) -> object:
        with transaction(engine) as session:
            there = connections.get(session, mine, number(connection))
            assert there is not None
            connections.change(session, vault, there, {"bot_token": TOKEN + "-new"}, NOW)
        return answer({"ok": False, "error": "invalid_auth"})

    slack.answers["POST /auth.test"] = refuse  # type: ignore[assignment]
    with pytest.raises(Unauthorized):
        connections.check(engine, vault, settings_for_slack, mine, number(connection), NOW)
    with reading(engine) as session:
        there = connections.get(session, mine, number(connection))
    assert there is not None
    assert there.state == ConnectionState.ACTIVE


def test_a_paused_connection_that_works_again_is_active_again(
    kitchen: Kitchen, vault: Vault, settings_for_slack: Settings, slack: Vendor
) -> None:
    number = kitchen.connect("slack")
    with transaction(kitchen.engine) as session:
        runs.hold(session, number, reason="…", now=NOW)
    slack.answers["POST /auth.test"] = answer({"ok": True, "team": "Acme", "user": "pocketwire"})
    mine = kitchen.endpoint.merchant_id
    assert connections.check(kitchen.engine, vault, settings_for_slack, mine, number, NOW) == "Acme, as pocketwire"
    with reading(kitchen.engine) as session:
        connection = connections.get(session, mine, number)
    assert connection is not None
    assert connection.state == ConnectionState.ACTIVE


def test_choices_come_live_from_the_service(
    engine: Engine, vault: Vault, mine: int, settings_for_slack: Settings, slack: Vendor
) -> None:
    with transaction(engine) as session:
        connection = add(session, vault, mine)
    listed = {"ok": True, "channels": [{"id": "C1", "name": "reviews"}], "response_metadata": {"next_cursor": ""}}
    slack.beside["GET /conversations.list"] = answer(listed)
    slack.beside["POST /conversations.list"] = answer(listed)
    spec = kit.fields(integration("slack").action("post_message").form)[0]
    found = connections.choices(vault, settings_for_slack, connection, spec, {})
    assert found == [kit.Option("C1", "#reviews")]


def test_a_connection_in_use_is_not_removed(kitchen: Kitchen) -> None:
    mine, number = kitchen.endpoint.merchant_id, kitchen.connect("ledger")
    recipe = kitchen.recipe("order.completed", step("ledger", "put_row", number, key="1", columns={"A": "1"}))
    with transaction(kitchen.engine) as session:
        assert [each.id for each in connections.recipes_using(session, mine, number)] == [recipe]
        with pytest.raises(connections.ConnectionInUse, match="used by “A recipe”"):
            connections.remove(session, mine, number)


def test_a_connection_that_runs_wait_for_is_not_removed(kitchen: Kitchen) -> None:
    mine, number = kitchen.endpoint.merchant_id, kitchen.connect("ledger")
    recipe_id = kitchen.recipe("order.completed", step("ledger", "put_row", number, key="1", columns={"A": "1"}))
    kitchen.deliver("order.completed", order(1))
    claimed = kitchen.claim()
    _switch_off(kitchen, recipe_id)
    with transaction(kitchen.engine) as session, pytest.raises(connections.ConnectionInUse, match="1 run still needs"):
        connections.remove(session, mine, number)
    kitchen.finish(claimed)
    with transaction(kitchen.engine) as session:
        assert connections.remove(session, mine, number)
        assert connections.get(session, mine, number) is None
    assert [run.connection_id for run in kitchen.runs()] == [None]


def test_what_came_before_its_connection_was_removed_fails_alone(kitchen: Kitchen) -> None:
    """Its recipe was on when it came, so it has a run; no other merchant's events wait for it."""
    mine, number = kitchen.endpoint.merchant_id, kitchen.connect("slack")
    recipe_id = kitchen.recipe("order.completed", step("slack", "post_message", number, channel="C1", text="Sold"))
    kitchen.later(seconds=1)
    kitchen.deliver("order.completed", order(1))
    kitchen.later(seconds=1)
    with transaction(kitchen.engine) as session:
        cookbook.disable(session, mine, recipe_id, kitchen.now)
        assert connections.remove(session, mine, number)
    kitchen.later(seconds=1)
    ledger = kitchen.connect("ledger")
    kitchen.recipe("order.completed", step("ledger", "put_row", ledger, key="1", columns={"A": "1"}))
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED, RunState.SUCCEEDED]
    assert "connection that this recipe used was removed" in kitchen.runs()[0].outcome


def _switch_off(kitchen: Kitchen, recipe_id: int) -> None:
    with transaction(kitchen.engine) as session:
        session.get_one(Recipe, recipe_id).enabled = False


def test_a_removed_connections_number_is_never_anybody_elses(
    kitchen: Kitchen, vault: Vault, slack: Vendor, stranger: int
) -> None:
    """Runs, recipes' versions and kept clients name it: another's credentials must not be found under it."""
    mine = kitchen.endpoint.merchant_id
    removed = kitchen.connect("slack", bot_token="xoxb-aaaaaaaaaaaa")
    recipe = kitchen.recipe("order.completed", step("slack", "post_message", removed, channel="C1", text="Sold"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    with transaction(kitchen.engine) as session:
        session.get_one(Recipe, recipe).enabled = False
        session.flush()
        assert connections.remove(session, mine, removed)
        made = connections.add(session, vault, stranger, "slack", "Theirs", {"bot_token": "xoxb-bbbbbbbbbbbb"}, NOW)
    assert number(made) > removed
    kitchen.run_again(1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.FAILED]
    assert [call.headers["Authorization"] for call in slack.calls] == ["Bearer xoxb-aaaaaaaaaaaa"]


def test_a_version_that_names_anothers_connection_does_not_get_it(
    kitchen: Kitchen, vault: Vault, slack: Vendor, stranger: int
) -> None:
    """Whatever number stands in it, only the merchant's own connection to that service is used."""
    with transaction(kitchen.engine) as session:
        theirs = connections.add(session, vault, stranger, "slack", "Theirs", {"bot_token": "xoxb-bbbbbbbbbbbb"}, NOW)
    ledger = kitchen.connect("ledger")
    write = step("ledger", "put_row", ledger, table="T", key="k", columns={"A": "x"})
    post = step("slack", "post_message", number(theirs), channel="C1", text="Sold")
    kitchen.recipe("order.completed", write, post)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED]
    assert slack.calls == []
