"""The database, SQLite or PostgreSQL: engine, transactions, a UTC column type, and where the two differ."""

import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from functools import partial
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    Table,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DisconnectionError, InterfaceError, InternalError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from recipes.refusal import Refusal

# What is raised while a database is away, locked, full or read-only, or all connections to it are in use: it may take
# the same another time.
UNAVAILABLE = (OperationalError, InterfaceError, InternalError, PoolTimeout)

# For numbers that pass 2^31 one day. SQLite's own number of a row is INTEGER, and that is as large.
LARGE_NUMBER = BigInteger().with_variant(Integer, "sqlite")

# How often a writer that waits for SQLite's lock looks whether it is free.
_LOOK_SECONDS = 0.001

# A machine that freezes or vanishes in mid-transaction keeps its locks from all others until PostgreSQL ends it. Ours
# talk to nobody else while they have one: none stands idle for seconds.
IDLE_SECONDS = 30.0
# When a connection without a sign of life from the other end is given up, after 25 s: asked for on both ends.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

# What a pooled connection to SQLite remembers: the path and the file that it has open.
_FILE = "file"


class MissingDriver(Refusal):
    """What PostgreSQL needs is not installed. The text is a sentence that says how to."""


class Lock(IntEnum):
    """What only one transaction of all machines may be at. The numbers are PostgreSQL's, and only ours."""

    MIGRATION = 7_001
    INTAKE = 7_002
    FAN_OUT = 7_003
    CLAIM = 7_004
    MERCHANT = 7_005
    ACCOUNTS = 7_006


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


def open_database(url: str, *, wait_seconds: float = 10.0, idle_seconds: float = IDLE_SECONDS) -> Engine:
    """An engine for `url`, sqlite:///path or postgresql://…. Raises MissingDriver.

    wait_seconds: how long a lock, and a PostgreSQL that does not answer, is waited for. idle_seconds: after how long
    PostgreSQL ends a transaction in which nothing is asked; what is asked then raises one of UNAVAILABLE.
    """
    address = make_url(url)
    if address.get_backend_name() == "postgresql":
        return _open_postgresql(address, wait_seconds, idle_seconds)
    engine = create_engine(
        url,
        connect_args={"timeout": wait_seconds},
        # Each connection keeps its statements ready, in memory of its own: so few are used, the latest first.
        pool_use_lifo=True,
        # Errors go to the log, and what stands in a statement may be a secret.
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", _note_file)
    event.listen(engine, "checkout", _check_file)
    event.listen(engine, "begin", partial(_begin_sqlite, wait_seconds))
    return engine


def _open_postgresql(address: URL, wait_seconds: float, idle_seconds: float) -> Engine:
    milliseconds = round(wait_seconds * 1000)
    given = address.query.get("options", "")
    server_settings = {
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": round(idle_seconds * 1000),
        **{f"tcp_{name}": value for name, value in _KEEPALIVES.items()},
    }
    options = [
        *([given] if isinstance(given, str) else given),
        *(f"-c {name}={value}" for name, value in server_settings.items()),
    ]
    try:
        return create_engine(
            address.set(drivername="postgresql+psycopg"),
            connect_args={
                "options": " ".join(options).strip(),
                # Whole seconds, and psycopg makes at least two of them.
                "connect_timeout": max(math.ceil(wait_seconds), 2),
                # A machine that is gone says nothing: without this its kernel is waited for, for a quarter of an hour.
                "tcp_user_timeout": max(milliseconds, 1_000),
                **_KEEPALIVES,
            },
            # Whatever the server's default is: a statement has to see what was committed while it waited for a lock.
            isolation_level="READ COMMITTED",
            # After a restart of the server no request meets a dead connection.
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except (ModuleNotFoundError, ImportError, NoSuchModuleError):
        raise MissingDriver(
            "PostgreSQL needs a part that is not installed: pip install 'pocketwire[postgresql]'."
        ) from None


def is_postgresql(database: Engine | Connection) -> bool:
    """Whether it is PostgreSQL, which has several writers at once; SQLite has one."""
    return database.dialect.name == "postgresql"


def upsert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, in the database's own words."""
    return postgresql.insert(table) if is_postgresql(connection) else sqlite.insert(table)


def one_at_a_time(session: Session, lock: Lock, numbers: Iterable[int] = (0,)) -> None:
    """Waits until no other transaction is at this, and keeps others from it until the present one ends.

    Several `numbers` are taken from the lowest up, so that two transactions never wait for each other. What is read
    afterwards is what the others have written. SQLite's transactions are one at a time anyway.
    """
    connection = session.connection()
    if is_postgresql(connection):
        statement = text("SELECT pg_advisory_xact_lock(:lock, number) FROM unnest(CAST(:numbers AS int[])) AS number")
        connection.execute(statement, {"lock": int(lock), "numbers": sorted(set(numbers))})


def whichever_is_free(session: Session, lock: Lock, numbers: Iterable[int] = (0,)) -> set[int]:
    """Those of `numbers` that no other transaction is at; others are kept from these until the present one ends.

    As `one_at_a_time`, but waits for nobody. On SQLite it is all of them.
    """
    connection, wanted = session.connection(), set(numbers)
    if not is_postgresql(connection):
        return wanted
    statement = text(
        "SELECT number FROM unnest(CAST(:numbers AS int[])) AS number WHERE pg_try_advisory_xact_lock(:lock, number)"
    )
    return set(connection.execute(statement, {"lock": int(lock), "numbers": sorted(wanted)}).scalars())


def let_stand_idle(session: Session) -> None:
    """Lets the present transaction pause for as long as it likes. Only for one that reads: nobody waits for that."""
    connection = session.connection()
    if is_postgresql(connection):
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


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
    # 16 MB, not 4: pages that many commits change are then copied into the file less often.
    cursor.execute("PRAGMA wal_autocheckpoint=4000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(wait_seconds: float, connection: Connection) -> None:
    # A writing transaction takes the lock at once: upgrading a read lock later fails without waiting.
    if not connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite itself looks ever more seldom whether the lock is free, in the end every tenth of a second. Who takes it
    # again and again, as the engine does, would keep a receiver waiting until that gives up.
    until = time.monotonic() + wait_seconds
    # Past SQLAlchemy, for which a statement more is a tenth of a millisecond more.
    driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while not _takes_lock(connection, until):
            time.sleep(_LOOK_SECONDS)
    finally:
        driver.execute(f"PRAGMA busy_timeout={round(wait_seconds * 1000)}")


def _takes_lock(connection: Connection, until: float) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY and time.monotonic() < until:
            return False
        raise
    return True


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
    # PostgreSQL would look anew with every statement; SQLite keeps to its first look by itself.
    moment = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if is_postgresql(engine) else {}
    # Closing takes the rows out of the session before it rolls back; an explicit rollback would empty them.
    with engine.connect().execution_options(**moment) as connection, Session(connection) as session:
        yield session
