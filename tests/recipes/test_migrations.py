"""The migrations make the tables that the code works with, from empty and without losing anything."""

import ast
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlmodel import SQLModel

from recipes import migrations
from recipes.db import open_database
from recipes.migrations import MigrationError, Schema, migrate, newest_revision, schema_of
from recipes.migrations.upgrading import configuration
from tests.postgresql import PostgreSQL

VERSIONS = Path(migrations.__file__).parent / "versions"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Engine]:
    """A database without tables, in a folder whose name Alembic would trip over."""
    folder = tmp_path / "100% new"
    folder.mkdir()
    engine = open_database(f"sqlite:///{folder}/pocketwire.db")
    yield engine
    engine.dispose()


def test_from_empty_to_the_models_without_drift(empty: Engine) -> None:
    assert migrate(empty) != []
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_every_table_and_index_is_made_as_the_models_say(empty: Engine, tmp_path: Path) -> None:
    """What Alembic cannot compare: checks, partial indexes, AUTOINCREMENT, WITHOUT ROWID, ON DELETE."""
    migrate(empty)
    made = open_database(f"sqlite:///{tmp_path}/made.db")
    SQLModel.metadata.create_all(made)
    assert _schema(empty) == _schema(made)
    made.dispose()


def test_what_our_own_secret_signed_becomes_a_sample(empty: Engine) -> None:
    """Before 0002 samples were signed with a stored secret, and looked like real deliveries."""
    _migrate_to(empty, "0001")
    with empty.begin() as connection:
        connection.execute(text("INSERT INTO merchant VALUES (1, 'Acme', 'UTC', '2026-07-24')"))
        for number, ours in ((1, True), (2, False)):
            connection.execute(
                text(
                    "INSERT INTO endpoint (id, merchant_id, mode, token, secret, secret_is_ours, created_at) "
                    "VALUES (:n, 1, :mode, :n, x'01', :ours, '2026-07-24')"
                ),
                {"n": number, "mode": ["live", "test"][number - 1], "ours": ours},
            )
            connection.execute(
                text(
                    "INSERT INTO event (merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, "
                    "occurred_at, received_at, body) VALUES (1, :n, 'live', 'order.completed', 'webhook', 'ready', '', "
                    "'2026-07-24', '2026-07-24', x'7b7d')"
                ),
                {"n": number},
            )
        connection.execute(text("INSERT INTO identity_key (endpoint_id, key, event_id) VALUES (2, 'k', 2)"))
    assert migrate(empty)[0] == "0002"
    with empty.begin() as connection:
        assert connection.execute(text("SELECT id, origin FROM event ORDER BY id")).all() == [
            (1, "sample"),
            (2, "webhook"),
        ]
        assert connection.execute(text("SELECT id, secret FROM endpoint ORDER BY id")).all() == [
            (1, None),
            (2, b"\x01"),
        ]
        assert connection.execute(text("SELECT event_id FROM identity_key")).all() == [(2,)]
        # Numbers go on where they were.
        assert connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'event'")).scalar() == 2


def _migrate_to(engine: Engine, revision: str) -> None:
    config = configuration()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_a_second_time_there_is_nothing_to_do(empty: Engine) -> None:
    assert schema_of(empty) is Schema.EMPTY
    migrate(empty)
    assert schema_of(empty) is Schema.CURRENT
    assert migrate(empty) == []


def test_the_newest_revision_is_the_one_that_alembic_ends_with() -> None:
    """It is told by the files' names, without Alembic: a start that finds nothing to do does not import it."""
    assert newest_revision() == ScriptDirectory.from_config(configuration()).get_current_head()


def test_recipes_and_what_refers_to_them_survive_the_copy_of_their_table(empty: Engine) -> None:
    """SQLite drops the old table: with foreign keys on, versions and runs would go with it."""
    _migrate_to(empty, "0002")
    with empty.begin() as connection:
        for statement in (
            "INSERT INTO merchant VALUES (1, 'Acme', 'UTC', '2026-07-24')",
            "INSERT INTO recipe VALUES (7, 1, 'a/b', 'A', NULL, 'a', 'both', 1, '2026-07-24', 2, '2026-07-24')",
            "INSERT INTO recipe_version VALUES (9, 7, 2, '{}', '2026-07-24', 'ada@example.com')",
        ):
            connection.execute(text(statement))
    migrate(empty)
    with empty.connect() as connection:
        kept = connection.execute(
            text("SELECT r.id, r.enabled, r.deleted_at, v.id FROM recipe r JOIN recipe_version v ON v.recipe_id = r.id")
        )
        assert kept.all() == [(7, 1, None, 9)]


def test_numbers_of_connections_that_are_gone_do_not_come_back(empty: Engine) -> None:
    """Recipes' versions still name them: a new connection under such a number would be used in their place."""
    _migrate_to(empty, "0003")
    definition = '{"event": "a", "steps": [{"app": "slack", "connection_id": 5}, {"app": "ledger"}]}'
    with empty.begin() as connection:
        for statement in (
            "INSERT INTO merchant VALUES (1, 'Acme', 'UTC', '2026-07-24')",
            "INSERT INTO connection VALUES (2, 1, 'slack', 'Ours', x'', 1, 'active', '', NULL, '', NULL, '2026-07-24')",
            "INSERT INTO recipe (id, merchant_id, name, title, event_type, runs_on, enabled, version, created_at) "
            "VALUES (7, 1, 'a/b', 'A', 'a', 'both', 0, 1, '2026-07-24')",
        ):
            connection.execute(text(statement))
        connection.execute(
            text("INSERT INTO recipe_version VALUES (9, 7, 1, :definition, '2026-07-24', '')"),
            {"definition": definition},
        )
    migrate(empty)
    with empty.begin() as connection:
        made = connection.execute(
            text(
                "INSERT INTO connection (merchant_id, app, name, credentials, revision, state, paused_reason, account, "
                "created_at) VALUES (1, 'slack', 'Theirs', x'01', 1, 'active', '', '', '2026-07-24') RETURNING id"
            )
        )
        assert made.scalar() == 6
        assert connection.execute(text("SELECT name FROM connection ORDER BY id")).scalars().all() == ["Ours", "Theirs"]


def test_what_came_before_is_treated_as_it_was_then(empty: Engine) -> None:
    """A recipe that is off is off from the day it was made; what comes from now on is kept for it, nothing older."""
    _migrate_to(empty, "0004")
    with empty.begin() as connection:
        for statement in (
            "INSERT INTO merchant VALUES (1, 'Acme', 'UTC', '2026-07-24')",
            "INSERT INTO endpoint (id, merchant_id, mode, token, created_at) VALUES (1, 1, 'live', 't', '2026-07-24')",
            "INSERT INTO event (id, merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, "
            "occurred_at, received_at, body) VALUES (5, 1, 1, 'live', 'order.completed', 'webhook', 'ready', '', "
            "'2026-07-24', '2026-07-24', x'7b7d')",
            "INSERT INTO recipe VALUES (1, 1, 'a', 'A', NULL, 'a', 'both', 1, '2026-07-25', 2, '2026-07-24', NULL)",
            "INSERT INTO recipe VALUES (2, 1, 'b', 'B', NULL, 'b', 'both', 0, NULL, 2, '2026-07-24', NULL)",
        ):
            connection.execute(text(statement))
    migrate(empty)
    with empty.connect() as connection:
        periods = connection.execute(
            text("SELECT recipe_id, kept, until IS NULL, next_event_id, date(since) FROM off_period ORDER BY id")
        ).all()
        assert [tuple(row[:4]) for row in periods] == [(1, "left", 0, 0), (2, "left", 0, 0), (2, "offered", 1, 6)]
        assert [row[4] for row in periods[:2]] == ["2026-07-24"] * 2


def test_runs_and_their_tries_survive_the_copy_of_their_table(empty: Engine) -> None:
    """And the numbers of runs that are forgotten do not come back: services know what was done by them."""
    _migrate_to(empty, "0011")
    with empty.begin() as connection:
        for statement in (
            "INSERT INTO merchant (id, name, time_zone, created_at) VALUES (1, 'Acme', 'UTC', '2026-07-24')",
            "INSERT INTO endpoint (id, merchant_id, mode, token, created_at) VALUES (1, 1, 'live', 't', '2026-07-24')",
            "INSERT INTO event (id, merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, "
            "occurred_at, received_at, body) VALUES (5, 1, 1, 'live', 'order.completed', 'webhook', 'ready', '', "
            "'2026-07-24', '2026-07-24', x'7b7d')",
            "INSERT INTO recipe VALUES (7, 1, 'a', 'A', NULL, 'a', 'both', 1, '2026-07-24', 1, '2026-07-24', NULL)",
            "INSERT INTO recipe_version VALUES (9, 7, 1, '{}', '2026-07-24', '')",
            "INSERT INTO run VALUES (3, 1, 5, 7, 9, 0, NULL, 'l', '2026-07-24', 'held', 0, 0, 0, '2026-07-24', NULL, "
            "NULL, '', '2026-07-24', NULL)",
            "INSERT INTO attempt VALUES (4, 3, 0, 1, '2026-07-24', 5, 'skipped', '', '{}', NULL, '')",
            "UPDATE sqlite_sequence SET seq = 41 WHERE name = 'run'",
        ):
            connection.execute(text(statement))
    migrate(empty)
    with empty.begin() as connection:
        kept = connection.execute(text("SELECT r.id, r.state, a.id FROM run r JOIN attempt a ON a.run_id = r.id"))
        assert kept.all() == [(3, "held", 4)]
        made = "INSERT INTO run SELECT NULL, merchant_id, event_id, recipe_id, version_id, 1, connection_id, lane, "
        made += (
            "order_at, 'delayed', step, attempt, doubt, due_at, lease, lease_until, outcome, created_at, finished_at"
        )
        assert connection.execute(text(f"{made} FROM run RETURNING id")).scalar() == 42


def test_a_database_of_a_later_version_is_refused_in_a_sentence(empty: Engine) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert schema_of(empty) is Schema.OTHER
    with pytest.raises(MigrationError, match="another version"):
        migrate(empty)


def test_foreign_keys_are_on_again_afterwards(empty: Engine) -> None:
    migrate(empty)
    with empty.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_postgresql_gets_the_same_tables_with_room_for_large_numbers(postgresql: PostgreSQL) -> None:
    """From empty and without drift. A serial column's sequence ends at 2^31 unless it is told otherwise."""
    with postgresql.empty_database() as url:
        engine = open_database(url)
        assert migrate(engine)
        assert schema_of(engine) is Schema.CURRENT
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_type": True,
                    "include_name": lambda name, kind, _parents: kind != "table" or name in SQLModel.metadata.tables,
                },
            )
            assert compare_metadata(context, SQLModel.metadata) == []
            large = text("SELECT sequencename FROM pg_sequences WHERE data_type::text = 'bigint' ORDER BY 1")
            numbers = [name for name in connection.execute(large).scalars() if not name.startswith("procrastinate")]
            assert numbers == ["attempt_id_seq", "event_id_seq", "ledger_row_id_seq", "run_id_seq"]
        engine.dispose()


def test_of_machines_that_start_at_once_one_migrates(postgresql: PostgreSQL) -> None:
    """The others wait, and find it done."""
    with postgresql.empty_database() as url, ThreadPoolExecutor() as pool:
        engines = [open_database(url) for _ in range(3)]
        applied = list(pool.map(migrate, engines))
        for engine in engines:
            engine.dispose()
    assert sorted(map(bool, applied)) == [False, False, True]


def test_the_queues_tables_are_brought_to_the_version_that_is_installed(postgresql: PostgreSQL) -> None:
    """An update of Procrastinate brings changes of its own, each of which is made once."""
    folder = Path(str(import_module("procrastinate.schema").SchemaManager.get_migrations_path()))
    made_by_33 = [file for file in sorted(folder.glob("*.sql")) if file.name < "03.04"]
    assert len(made_by_33) < len(list(folder.glob("*.sql")))
    with postgresql.empty_database() as url:
        engine = open_database(url)
        with engine.begin() as connection:
            driver: Any = connection.connection.driver_connection
            for file in made_by_33:
                driver.execute(file.read_text("utf-8"))
            driver.execute("COMMENT ON TABLE procrastinate_jobs IS 'procrastinate 3.3.0'")
        migrate(engine)
        migrate(engine)
        with engine.connect() as connection:
            comment = connection.execute(text("SELECT obj_description('procrastinate_jobs'::regclass)")).scalar()
            assert comment == f"procrastinate {version('procrastinate')}"
            functions = connection.execute(text("SELECT proname FROM pg_proc WHERE proname LIKE 'procrastinate_%'"))
            assert "procrastinate_retry_job_v2" in functions.scalars().all()
        engine.dispose()


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_a_migration_imports_nothing_of_ours(path: Path) -> None:
    """It has to mean the same when our code has long changed."""
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported <= {"alembic", "sqlalchemy"}


def _schema(engine: Engine) -> dict[str, list[str]]:
    """Every table and index by name, as its statement's parts in any order: constraints are listed differently."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    return {
        name: sorted(re.split(r",?\s*\n\s*", sql.replace('"', "")))
        for name, sql in found
        if not name.startswith(("sqlite_", "alembic_"))
    }
