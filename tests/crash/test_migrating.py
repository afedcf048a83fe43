"""A migration that is killed leaves the database as it was; started again, it ends right."""

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, make_url, text

from recipes.chaos.nursery import Nursery, VictimFailed
from recipes.chaos.place import Place
from recipes.db import is_postgresql, open_database
from recipes.migrations import Schema, migrate, schema_of
from recipes.migrations.upgrading import configuration
from tests.postgresql import PostgreSQL

pytestmark = pytest.mark.long

KILLS = 12
EVENTS = 1_500
LONGEST = 0.25


def _make_old(url: str) -> None:
    """Makes a database of the first version, with a store, its recipe and many events."""
    engine = open_database(url)
    config = configuration()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _fill(connection)
    engine.dispose()


def _fill(connection: Connection) -> None:
    known = {"yes": True, "no": False, "secret": b"1"}
    for statement in (
        "INSERT INTO merchant VALUES (1, 'Acme', 'UTC', '2026-07-24')",
        "INSERT INTO endpoint (id, merchant_id, mode, token, secret, secret_is_ours, created_at) "
        "VALUES (1, 1, 'live', 't', :secret, :yes, '2026-07-24')",
        "INSERT INTO recipe VALUES (7, 1, 'a/b', 'A', NULL, 'a', 'both', :yes, '2026-07-24', 2, '2026-07-24')",
        "INSERT INTO recipe_version VALUES (9, 7, 2, '{}', '2026-07-24', 'ada@example.com')",
    ):
        connection.execute(text(statement), known)
    connection.execute(
        text(
            "INSERT INTO event (merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, "
            "occurred_at, received_at, body) VALUES (1, 1, 'live', 'order.completed', 'webhook', 'ready', '', "
            "'2026-07-24', '2026-07-24', :body)"
        ),
        [{"body": b"%d" % number} for number in range(EVENTS)],
    )
    connection.execute(
        text(
            "INSERT INTO run (merchant_id, event_id, recipe_id, version_id, again, lane, order_at, state, step, "
            "attempt, doubt, due_at, outcome, created_at) SELECT 1, id, 7, 9, 0, 'l', '2026-07-24', 'succeeded', "
            "0, 1, :no, '2026-07-24', '', '2026-07-24' FROM event"
        ),
        known,
    )


@pytest.fixture
def copy_on_sqlite(tmp_path: Path) -> Callable[[], str]:
    """The URL of another copy of an old database each time."""
    old = tmp_path / "old.db"
    _make_old(f"sqlite:///{old}")
    with closing(sqlite3.connect(old)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    numbers = iter(range(KILLS))

    def copy() -> str:
        file = tmp_path / f"{next(numbers)}.db"
        shutil.copy(old, file)
        return f"sqlite:///{file}"

    return copy


@pytest.fixture
def copy_on_postgresql(postgresql: PostgreSQL) -> Iterator[Callable[[], str]]:
    """The same on a server."""
    with postgresql.empty_database() as old, postgresql.empty_database() as other:
        _make_old(old)

        def copy() -> str:
            names = {"old": make_url(old).database, "copy": make_url(other).database}
            engine = open_database(make_url(old).set(database="postgres").render_as_string(hide_password=False))
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("DROP DATABASE {copy} WITH (FORCE)".format(**names)))
                connection.execute(text("CREATE DATABASE {copy} TEMPLATE {old}".format(**names)))
            engine.dispose()
            return other

        yield copy


@pytest.mark.parametrize(("kind", "kills"), [("sqlite", KILLS), ("postgresql", KILLS // 2)])
def test_a_killed_migration_is_all_or_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, kills: int
) -> None:
    """Several times, at random moments from its first statement to after its last; CHAOS_SEED repeats them."""
    copy: Callable[[], str] = request.getfixturevalue(f"copy_on_{kind}")
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    choose = random.Random(seed)
    place = Place(str(tmp_path / "place"), "http://127.0.0.1:9", "k" * 40, 0.0)
    place.data_dir.mkdir(parents=True)
    killed = 0
    with Nursery(place) as nursery:
        for _ in range(kills):
            url = copy()
            victim = nursery.fork("migrate", database=url)
            time.sleep(choose.uniform(0, LONGEST))
            try:
                nursery.end(victim, signal.SIGKILL)
                killed += 1
            except VictimFailed:
                pass  # it was quicker
            _ends_right(url, f"CHAOS_SEED={seed}")
    assert killed > 0, "every migration was quicker than its killer: lengthen it"


def _ends_right(url: str, said: str) -> None:
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            before = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        assert before == "0001" or schema_of(engine) is Schema.CURRENT, said
        migrate(engine)
        assert schema_of(engine) is Schema.CURRENT, said
        with engine.connect() as connection:
            counted = connection.execute(
                text(
                    "SELECT count(*), count(DISTINCT e.body), max(e.origin), max(r.version_id) "
                    "FROM event e JOIN run r ON r.event_id = e.id"
                )
            ).one()
            assert tuple(counted) == (EVENTS, EVENTS, "sample", 9), said
            if not is_postgresql(connection):
                _is_sound(connection, said)
    finally:
        engine.dispose()


def _is_sound(connection: Connection, said: str) -> None:
    assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok", said
    assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == [], said
    left = connection.execute(text("SELECT name FROM sqlite_master WHERE name LIKE '\\_alembic%' ESCAPE '\\'"))
    assert left.all() == [], said
