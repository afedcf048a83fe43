"""The database: engine, transactions, a UTC column type, SQLite's pragmas."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Result,
    Select,
    TypeDecorator,
    and_,
    bindparam,
    create_engine,
    event,
    func,
    select,
    tuple_,
)
from sqlalchemy.exc import DisconnectionError
from sqlmodel import Session

# What a pooled connection remembers: the path and the file that it has open.
_FILE = "file"


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on databases with and without time zones. A naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_database(url: str, *, wait_seconds: float = 10.0) -> Engine:
    """An engine for `url` (sqlite:///path). wait_seconds: how long a locked file is waited for."""
    # Errors go to the log, and what stands in a statement may be a secret.
    engine = create_engine(url, connect_args={"timeout": wait_seconds}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", _note_file)
    event.listen(engine, "checkout", _check_file)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    try:
        _set_up_sqlite(connection)
    except BaseException:
        # The pool never had it, and does not close it.
        connection.close()
        raise


def _note_file(connection: Any, record: Any) -> None:
    [_, _, path] = connection.execute("PRAGMA database_list").fetchone()
    record.info[_FILE] = path, _file_at(path)


def _check_file(_connection: Any, record: Any, _proxy: Any) -> None:
    # SQLite goes on in a file that was moved or deleted, and what it writes there is gone with its last connection.
    # The pool opens another connection then.
    path, file = record.info[_FILE]
    if file != _file_at(path):
        raise DisconnectionError("the database's file was moved or replaced")


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _set_up_sqlite(connection: Any) -> None:
    # pysqlite's own BEGIN is deferred and left out before SELECTs; SQLAlchemy's "begin" event sends ours instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Only on a new file: setting these again would need a lock, and a reader must never wait for a writer.
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # A writing transaction takes the lock at once: upgrading a read lock later fails without waiting.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session in one writing transaction: committed at the end, rolled back if anything is raised."""
    with (
        engine.connect().execution_options(writes=True) as connection,
        Session(connection, expire_on_commit=False) as session,
        session.begin(),
    ):
        session.connection()  # begins now, not with the first statement: the lock is what was asked for
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees one moment of the database and writes nothing. Rows stay readable after it."""
    # Closing takes the rows out of the session before it rolls back; an explicit rollback would empty them.
    with Session(engine) as session:
        yield session


def rows_with_pairs(
    connection: Connection,
    columns: tuple[Column[int], Column[str]],
    wanted: Sequence[tuple[int, str]],
    more: Column[Any],
) -> Result[Any]:
    """The rows whose two columns are one of the wanted pairs: these columns and one more."""
    if connection.dialect.name != "sqlite":
        return connection.execute(select(*columns, more).where(tuple_(*columns).in_(wanted)))
    return connection.execute(_joined_with_pairs(*columns, more), {"pairs": json.dumps(wanted)})


@cache
def _joined_with_pairs(first: Column[int], second: Column[str], more: Column[Any]) -> Select[Any]:
    # SQLite looks pairs up in an index where they are joined; for `(a, b) IN (…)` it reads the whole table.
    pair = func.json_each(bindparam("pairs")).table_valued("value", name="wanted").c.value
    matches = and_(first == func.json_extract(pair, "$[0]"), second == func.json_extract(pair, "$[1]"))
    return select(first, second, more).join(pair.table, matches)
