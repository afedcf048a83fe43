"""The schema's migrations, run from code: no alembic.ini is needed."""

from enum import Enum
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from recipes.db import Lock, is_postgresql
from recipes.migrations.queue import bring_up_queue
from recipes.refusal import Refusal

_VERSIONS = Path(__file__).parent / "versions"


class MigrationError(Refusal):
    """The database cannot be brought to this version. The text is a sentence."""


class Schema(Enum):
    """How a database's schema stands to this version's."""

    EMPTY = "empty"
    CURRENT = "current"
    OTHER = "other"


def schema_of(engine: Engine) -> Schema:
    """How the schema stands; nothing is changed."""
    with engine.connect() as connection:
        return _schema_in(connection)


def migrate(engine: Engine) -> list[str]:
    """Brings the database to the newest schema; the revisions applied, none if it was there already.

    All in one transaction: if anything fails, the database is as it was. Raises MigrationError.
    """
    if not is_postgresql(engine) and schema_of(engine) is Schema.CURRENT:
        return []
    applied: list[str] = []
    with engine.connect().execution_options(writes=True) as connection:
        is_sqlite = not is_postgresql(connection)
        if is_sqlite:
            # Batch mode copies a table and drops the old one; with foreign keys on, that would delete what refers to
            # it. The setting cannot change inside a transaction, and this connection goes to nobody after.
            connection.detach()
            _run_outside_transaction(connection, "PRAGMA foreign_keys=OFF")
        with connection.begin():
            if is_postgresql(connection):
                _wait_for_others(connection)
            if _schema_in(connection) is not Schema.CURRENT:
                # Imported only now: nearly every start finds all done, and does without Alembic.
                applied = import_module("recipes.migrations.upgrading").upgrade(connection)
            if not is_sqlite:
                bring_up_queue(connection)
            if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise MigrationError("The migration would leave rows that refer to nothing; nothing was changed.")
    return applied


def _schema_in(connection: Connection) -> Schema:
    if not inspect(connection).has_table("alembic_version"):
        return Schema.EMPTY
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None:
        return Schema.EMPTY
    return Schema.CURRENT if revision == newest_revision() else Schema.OTHER


def newest_revision() -> str:
    """The revision that this version's tables are of: what its migration's file begins with."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def _wait_for_others(connection: Connection) -> None:
    """Of several machines that start at once one migrates; the others wait, however long it takes, and find it done."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock, 0)"), {"lock": int(Lock.MIGRATION)})


def _run_outside_transaction(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()
