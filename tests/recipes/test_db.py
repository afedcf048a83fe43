"""The database's own promises."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import StatementError
from sqlmodel import select

from recipes.db import open_database, reading, transaction
from recipes.models import Merchant
from recipes.settings import Settings
from tests.conftest import both_databases


def test_sqlite_is_set_up_to_lose_nothing(settings: Settings) -> None:
    """WAL, every commit on disk before it returns, references kept, and room given back."""
    engine = open_database(settings.database)
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "auto_vacuum": 2}


def test_the_connection_that_was_used_last_is_used_next(settings: Settings) -> None:
    """Each keeps its statements ready: as long as one is enough, the others are let be."""
    engine = open_database(settings.database)

    def used() -> object:
        with engine.connect() as connection:
            return connection.connection.dbapi_connection

    with engine.connect(), engine.connect():
        pass
    assert used() is used()
    engine.dispose()


def test_a_writer_that_waits_looks_often(settings: Settings) -> None:
    """SQLite itself would look every tenth of a second in the end, and miss the pauses of a busy one."""
    engine, waiting = open_database(settings.database), open_database(settings.database, wait_seconds=20.0)
    looked = threading.Semaphore(0)

    def look(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            looked.release()

    event.listen(waiting, "before_cursor_execute", look)

    def write() -> None:
        with transaction(waiting):
            pass

    writer = threading.Thread(target=write)
    with transaction(engine):
        writer.start()
        # Were it left to SQLite, it would look once from here, for all of the twenty seconds.
        assert all(looked.acquire(timeout=10) for _ in range(20))
    writer.join()
    waiting.dispose()
    engine.dispose()


@both_databases
def test_times_are_kept_in_utc_and_naive_ones_refused(engine: Engine) -> None:
    """A time without a zone is a mistake somewhere, not a time."""
    tokyo = datetime(2026, 7, 24, 21, 0, tzinfo=timezone(timedelta(hours=9)))
    with transaction(engine) as session:
        session.add(Merchant(name="Acme", created_at=tokyo))
    with reading(engine) as session:
        [merchant] = session.exec(select(Merchant)).all()
    assert merchant.created_at == tokyo
    assert merchant.created_at.tzinfo is UTC
    with pytest.raises(StatementError, match="time zone"), transaction(engine) as session:
        session.add(Merchant(name="Acme", created_at=datetime(2026, 7, 24)))  # noqa: DTZ001 - what is refused


@both_databases
def test_a_transaction_that_raises_leaves_nothing_behind(engine: Engine) -> None:
    """All or nothing."""

    def fail_late() -> None:
        with transaction(engine) as session:
            session.add(Merchant(name="Acme", created_at=datetime(2026, 7, 24, tzinfo=UTC)))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    with reading(engine) as session:
        assert session.exec(select(Merchant)).all() == []


@both_databases
def test_reading_sees_one_moment(engine: Engine) -> None:
    """Counts on a page fit what is listed beside them, whatever is written meanwhile."""
    with reading(engine) as session:
        before = session.exec(select(Merchant)).all()
        with transaction(engine) as other:
            other.add(Merchant(name="Acme", created_at=datetime(2026, 7, 24, tzinfo=UTC)))
        assert session.exec(select(Merchant)).all() == before == []
    with reading(engine) as session:
        assert len(session.exec(select(Merchant)).all()) == 1
