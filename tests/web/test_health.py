"""GET /healthz says what is wrong while the service cannot do its work."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recipes.db import open_database, transaction
from recipes.models import Endpoint, Merchant
from recipes.settings import Settings, load_settings
from recipes.spool import Delivery
from recipes.storing import store
from recipes.vault import Vault
from tests.conftest import NOW, TOKEN
from tests.postgresql import PostgreSQL
from tests.web.browser import Browser
from web.app import create_app


class Watcher:
    """Somebody who asks /healthz, at a time that is set by hand."""

    def __init__(self, settings: Settings, engine: Engine, vault: Vault) -> None:
        self.now = NOW
        self._settings = settings
        self._browser = Browser(create_app(settings, engine=engine, vault=vault, now=lambda: self.now).test_client())

    def asks(self, after: float) -> tuple[int, str]:
        """The status, and what is said, so many seconds after the start."""
        self.now = NOW + timedelta(seconds=after)
        answer = self._browser.get("/healthz")
        return answer.status_code, (answer.json or {}).get("message", "")

    def engine_shows_itself(self, at: datetime) -> None:
        """The engine's sign of life."""
        _touch(self._settings.sign_of_life, at)

    def engine_gets_on(self, at: datetime) -> None:
        """The engine is alive, and a turn has succeeded."""
        self.engine_shows_itself(at)
        _touch(self._settings.sign_of_work, at)


def _touch(path: Path, at: datetime) -> None:
    path.touch()
    os.utime(path, (at.timestamp(), at.timestamp()))


@pytest.fixture
def watcher(settings: Settings, engine: Engine, vault: Vault) -> Watcher:
    """One who asks a service that has just started."""
    return Watcher(settings, engine, vault)


def test_a_silent_engine_is_named(watcher: Watcher) -> None:
    """With the time since when; and all is well again as soon as the engine shows itself."""
    watcher.engine_gets_on(NOW + timedelta(seconds=100))
    assert watcher.asks(after=125) == (200, "")
    assert watcher.asks(after=140) == (503, "The engine gives no sign of life since 2026-07-24 12:01:40 UTC.")
    watcher.engine_shows_itself(NOW + timedelta(seconds=139))
    assert watcher.asks(after=140) == (200, "")


def test_an_engine_that_gets_nothing_done_is_named(watcher: Watcher) -> None:
    """It is alive, and every turn fails: nobody would end it, so somebody has to be told. One lock is no such thing."""
    watcher.engine_gets_on(NOW + timedelta(seconds=100))
    watcher.engine_shows_itself(NOW + timedelta(seconds=160))
    assert watcher.asks(after=160) == (200, "")
    watcher.engine_shows_itself(NOW + timedelta(seconds=161))
    failing = "All that the engine tries fails since 2026-07-24 12:01:40 UTC. The log says why."
    assert watcher.asks(after=161) == (503, failing)
    watcher.engine_gets_on(NOW + timedelta(seconds=162))
    assert watcher.asks(after=162) == (200, "")


def test_an_engine_that_hangs_is_named_though_the_clock_was_set_back(watcher: Watcher) -> None:
    """Not only when the old time has come again; its next sign is in the new time."""
    watcher.engine_gets_on(NOW + timedelta(hours=2))
    assert watcher.asks(after=3600) == (503, "The engine gives no sign of life since the clock was set back.")
    watcher.engine_gets_on(NOW + timedelta(hours=1))
    assert watcher.asks(after=3600) == (200, "")
    assert watcher.asks(after=3540) == (503, "The engine gives no sign of life since the clock was set back.")
    watcher.engine_shows_itself(NOW - timedelta(hours=1))
    assert watcher.asks(after=-3600) == (
        503,
        "All that the engine tries fails since the clock was set back. The log says why.",
    )


def test_an_engine_that_is_only_starting_is_waited_for(watcher: Watcher) -> None:
    """Both sides start at once, and the sign of the time before is old; but it does not take half a minute."""
    assert watcher.asks(after=1) == (200, "")
    watcher.engine_shows_itself(NOW - timedelta(days=1))
    assert watcher.asks(after=25) == (200, "")
    assert watcher.asks(after=31)[0] == 503


def test_a_database_that_is_away_is_named(settings: Settings, vault: Vault) -> None:
    """A folder that is not there."""
    away = open_database(f"sqlite:///{settings.data_dir / 'no-such-folder' / 'pocketwire.db'}")
    assert Watcher(settings, away, vault).asks(after=1) == (503, "The database does not answer.")


def test_a_database_that_was_lost_is_named(settings: Settings, vault: Vault) -> None:
    """SQLite makes a new file in the place of one that is gone, and answers what needs no table."""
    empty = open_database(f"sqlite:///{settings.data_dir / 'new.db'}")
    assert Watcher(settings, empty, vault).asks(after=1) == (503, "The database does not answer.")
    empty.dispose()


def test_workers_that_are_missed_are_told_of(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """Only while there is something to do; and not as an outage, for which a balancer would take receivers away."""
    with postgresql.database() as url:
        settings = load_settings(_env_file=None, data_dir=tmp_path / "data", database_url=url)
        engine = open_database(settings.database)
        watcher = Watcher(settings, engine, Vault.from_keys(settings.sealing_keys()))
        _worker_shows_itself(engine, NOW + timedelta(seconds=10))
        assert watcher.asks(after=100) == (200, "")
        _event_comes(engine)
        missed = "Work waits, and no worker shows life since 2026-07-24 12:00:10 UTC."
        assert watcher.asks(after=100) == (200, missed)
        _worker_shows_itself(engine, NOW + timedelta(seconds=90))
        assert watcher.asks(after=100) == (200, "")
        # One that works on this very machine and gets nothing done.
        watcher.engine_shows_itself(NOW + timedelta(seconds=95))
        failing = "All that the engine tries fails since 2026-07-24 12:00:00 UTC. The log says why."
        assert watcher.asks(after=100) == (200, failing)
        engine.dispose()


def _event_comes(engine: Engine) -> None:
    with transaction(engine) as session:
        session.add(Merchant(name="Acme Books", created_at=NOW))
        session.flush()
        session.add(Endpoint(merchant_id=1, token=TOKEN, created_at=NOW))
    assert store(engine, [Delivery(1, 1, "live", b'{"order": {"id": "order_1"}}', "order.completed", None, NOW)]) == [
        True
    ]


def _worker_shows_itself(engine: Engine, at: datetime) -> None:
    with transaction(engine) as session:
        session.execute(text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (:at)"), {"at": at})


def test_spooled_batches_that_were_set_aside_are_told_of(watcher: Watcher, settings: Settings) -> None:
    """All else works, so it is no outage; but a person has to look at them."""
    (settings.spool / "00000000000000000001-00000001.refused").touch()
    status, said = watcher.asks(after=1)
    assert status == 200
    assert said.startswith("1 spooled batches of deliveries could not be brought in")
