"""Jobs, by which the workers of several machines learn of work: put into the transaction that makes the work.

Procrastinate keeps them in PostgreSQL. A job only says when to look; what there is to do stands in the tables. On
SQLite all of this does nothing: its one engine is woken through a pipe.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from math import ceil
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from recipes.db import is_postgresql

LOOK = "look"


def look_soon(session: Session) -> None:
    """There is something to do: new events, or runs that may go.

    A job of its own each time, without a lock of Procrastinate's. One that stands already may be taken, and looked for,
    before this transaction is committed; and a lock that a dead worker holds keeps all others waiting.
    """
    if is_postgresql(session.connection()):
        _defer(session, [_job()])


def look_later(session: Session, times: Iterable[datetime]) -> None:
    """There is something to do at these times. One job for all that falls into the same second."""
    if is_postgresql(session.connection()):
        seconds = sorted({ceil(each.timestamp()) for each in times})
        _defer(session, [_job_at(datetime.fromtimestamp(each, UTC)) for each in seconds])


def sign_on(session: Session) -> int:
    """Shows a worker before it looks at anything; the number to `sign_off` with."""
    return int(session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")).scalar_one())


def sign_off(session: Session, number: int) -> None:
    """Takes that back."""
    session.execute(text("DELETE FROM procrastinate_workers WHERE id = :number"), {"number": number})


def last_sign_of_a_worker(session: Session) -> datetime | None:
    """When a worker last showed life, by the database's clock; None if there is none, as once all were stopped."""
    found: datetime | None = session.execute(text("SELECT max(last_heartbeat) FROM procrastinate_workers")).scalar()
    return found


def _job_at(at: datetime) -> Any:
    # The database says when it is time; a worker whose own clock is behind has to be told that it is.
    return _job({"at": at.isoformat()}, schedule_at=at)


def _job(given: Mapping[str, Any] | None = None, **how: Any) -> Any:
    return _app().configure_task(LOOK, task_kwargs=dict(given or {}), **how).job


def _defer(session: Session, jobs: Sequence[Any]) -> None:
    if not jobs:
        return
    failure = import_module("procrastinate.exceptions").ConnectorException
    connection = session.connection().connection.driver_connection
    try:
        _app().job_manager.batch_defer_jobs(list(jobs), connection=connection)
    except failure as error:
        # To whoever works with the transaction it is one more statement that the database did not take.
        raise OperationalError("a job", None, error.__cause__ or error) from error


@cache
def _app() -> Any:
    """Procrastinate as it is needed here: without a connection of its own."""
    procrastinate = import_module("procrastinate")
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
