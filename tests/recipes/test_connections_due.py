"""Workers that share a database look at every connection that has something to do, however many there are."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.clocks.sharing import MOST_CONNECTIONS, SharedDispatcher
from recipes.db import reading, transaction
from recipes.settings import Settings
from recipes.vault import Vault
from tests.conftest import NOW
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]

# So many connections to Slack, each with a run that is due, as the one that is there has.
_MORE = (
    "INSERT INTO connection (id, merchant_id, app, name, credentials, revision, account, state, paused_reason,"
    " created_at) SELECT 1000 + n, merchant_id, 'slack', 'more ' || n, credentials, 0, '', 'active', '', created_at"
    " FROM connection, generate_series(1, :more) AS n",
    "INSERT INTO run (merchant_id, event_id, recipe_id, version_id, again, connection_id, lane, order_at, state, step,"
    " attempt, doubt, due_at, outcome, created_at) SELECT merchant_id, event_id, recipe_id, version_id, n, 1000 + n,"
    " 'slack:' || n, order_at, 'queued', 0, 0, false, due_at, '', created_at FROM run, generate_series(1, :more) AS n",
)
_FULL = (
    "INSERT INTO connection_pace (connection_id, calls) SELECT id, (SELECT json_agg(CAST(:now AS float)) FROM"
    " generate_series(1, 1000)) FROM connection WHERE app = 'slack'"
)


@pytest.fixture
def dispatcher(engine: Engine, settings: Settings, vault: Vault) -> Iterator[SharedDispatcher]:
    """One worker's, whose turns are asked for. Its clock stands still."""
    dispatcher = SharedDispatcher(
        engine,
        settings,
        ClientCache(vault, {}),
        lease_seconds=60.0,
        now=lambda: NOW,
        alive=lambda: None,
        database_time=lambda _: NOW,
    )
    yield dispatcher
    dispatcher.stop()
    dispatcher.run()


def _due(kitchen: Kitchen, more: int) -> int:
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", step("slack", "post_message", connection, channel="C0123456789", text="sold"))
    kitchen.deliver("order.completed", order(1))
    with transaction(kitchen.engine) as session:
        runs.fan_out(session, now=kitchen.now)
        for statement in _MORE:
            session.execute(text(statement), {"more": more})
    return connection


def _connections_due(engine: Engine, now: datetime) -> set[int | None]:
    with reading(engine) as session:
        return {connection_id for connection_id, _ in runs.connections_due(session, now)}


def test_connections_that_rest_are_not_looked_at(kitchen: Kitchen, engine: Engine) -> None:
    """Of a few hundred whose services asked to be left alone for an hour, the one that may go would be found late."""
    connection = _due(kitchen, more=2)
    with transaction(engine) as session:
        limits = runs.SharedLimits(session)
        limits.rest(1001, NOW + timedelta(hours=1))
        limits.rest(1002, NOW)
    assert _connections_due(engine, NOW) == {connection, 1002}
    assert _connections_due(engine, NOW + timedelta(hours=1)) == {connection, 1001, 1002}


def test_a_rest_of_a_clock_that_was_set_back_is_looked_at(kitchen: Kitchen) -> None:
    """No service is left alone for half a day: what stands so far ahead was written by another time."""
    connection = _due(kitchen, more=0)
    with transaction(kitchen.engine) as session:
        runs.SharedLimits(session).rest(connection, kitchen.now + timedelta(hours=12))
    with reading(kitchen.engine) as session:
        assert runs.connections_due(session, kitchen.now) == [(connection, "slack")]


def test_who_could_not_look_at_all_looks_again_at_once(
    kitchen: Kitchen, engine: Engine, dispatcher: SharedDispatcher
) -> None:
    """Those that it saw may have no room in their minute, and those that it did not may have it."""
    _due(kitchen, more=MOST_CONNECTIONS)
    with transaction(engine) as session:
        session.execute(text(_FULL), {"now": NOW.timestamp()})
    assert dispatcher.turn() == 0
    assert dispatcher._passed_over
    with transaction(engine) as session:
        session.execute(text("DELETE FROM run WHERE connection_id = 1001"))
    assert dispatcher.turn() == 0
    assert not dispatcher._passed_over
