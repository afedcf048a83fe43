"""The schema's migrations, run from code: no alembic.ini is needed."""

from enum import Enum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text

from recipes.db import Lock, is_postgresql
from recipes.migrations.queue import bring_up_queue
from recipes.refusal import Refusal


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
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return Schema.EMPTY
    newest = ScriptDirectory.from_config(configuration()).get_current_head()
    return Schema.CURRENT if revision == newest else Schema.OTHER


def migrate(engine: Engine) -> list[str]:
    """Brings the database to the newest schema; the revisions applied, none if it was there already.

    All in one transaction: if anything fails, the database is as it was. Raises MigrationError.
    """
    applied: list[str] = []
    config = configuration()
    config.attributes["applied"] = applied
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
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise MigrationError(
                    "This database was made by another version of Pocketwire, which this one does not know."
                ) from error
            if not is_sqlite:
                bring_up_queue(connection)
            if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise MigrationError("The migration would leave rows that refer to nothing; nothing was changed.")
    return applied


def configuration() -> Config:
    """Alembic's configuration for this folder."""
    config = Config()
    # Alembic reads the option with interpolation: a % in the folder's name has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config


def _wait_for_others(connection: Connection) -> None:
    """Of several machines that start at once one migrates; the others wait, however long it takes, and find it done."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock, 0)"), {"lock": int(Lock.MIGRATION)})


def _run_outside_transaction(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()
