"""A migration that is killed leaves the database as it was; started again, it ends right."""

import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from recipes.chaos.killing import Nursery, VictimFailed
from recipes.chaos.place import Place
from recipes.db import open_database
from recipes.migrations import Schema, migrate, schema_of
from recipes.migrations.upgrading import configuration

KILLS = 12
EVENTS = 1_500
LONGEST = 0.25


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of the first version, with a store, its recipe and many events."""
    file = tmp_path / "old.db"
    engine = open_database(f"sqlite:///{file}")
    config = configuration()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "INSERT INTO merchant VALUES (1, 'Acme', 'UTC', '2026-07-24')",
            "INSERT INTO endpoint (id, merchant_id, mode, token, secret, secret_is_ours, created_at) "
            "VALUES (1, 1, 'live', 't', x'01', 1, '2026-07-24')",
            "INSERT INTO recipe VALUES (7, 1, 'a/b', 'A', NULL, 'a', 'both', 1, '2026-07-24', 2, '2026-07-24')",
            "INSERT INTO recipe_version VALUES (9, 7, 2, '{}', '2026-07-24', 'ada@example.com')",
        ):
            connection.execute(text(statement))
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
                "0, 1, 0, '2026-07-24', '', '2026-07-24' FROM event"
            )
        )
    engine.dispose()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.mark.long
def test_a_killed_migration_is_all_or_nothing(old: Path, tmp_path: Path) -> None:
    """A dozen times, at random moments from its first statement to after its last; CHAOS_SEED repeats them."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    choose = random.Random(seed)
    place = Place(str(tmp_path / "place"), "http://127.0.0.1:9", "k" * 40, 0.0)
    place.data_dir.mkdir(parents=True)
    killed = 0
    with Nursery(place) as nursery:
        for number in range(KILLS):
            file = tmp_path / f"{number}.db"
            shutil.copy(old, file)
            victim = nursery.fork("migrate", database=f"sqlite:///{file}")
            time.sleep(choose.uniform(0, LONGEST))
            try:
                nursery.end(victim, signal.SIGKILL)
                killed += 1
            except VictimFailed:
                pass  # it was quicker
            _ends_right(file, f"CHAOS_SEED={seed}")
    assert killed > 0, "every migration was quicker than its killer: lengthen it"


def _ends_right(file: Path, said: str) -> None:
    engine = open_database(f"sqlite:///{file}")
    try:
        with engine.connect() as connection:
            before = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        assert before == "0001" or schema_of(engine) is Schema.CURRENT, said
        migrate(engine)
        assert schema_of(engine) is Schema.CURRENT, said
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok", said
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == [], said
            counted = connection.execute(
                text(
                    "SELECT count(*), count(DISTINCT e.body), max(e.origin), max(r.version_id) "
                    "FROM event e JOIN run r ON r.event_id = e.id"
                )
            ).one()
            assert tuple(counted) == (EVENTS, EVENTS, "sample", 9), said
            left = connection.execute(text("SELECT name FROM sqlite_master WHERE name LIKE '\\_alembic%' ESCAPE '\\'"))
            assert left.all() == [], said
    finally:
        engine.dispose()
