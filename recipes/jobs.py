"""Jobs, by which the workers of several machines learn of work: put into the transaction that makes the work.

Procrastinate keeps them in PostgreSQL. A job only says when to look, and at what; what there is to do stands in the run
table. On SQLite all of this does nothing: its one engine is woken through a pipe.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from recipes.db import is_postgresql

FAN_OUT = "fan_out"
WORK = "work"


class Due(NamedTuple):
    """A run that may go from `at` on, or another that one has kept waiting. None: its step has no connection."""

    connection_id: int | None
    at: datetime


def fan_out_soon(session: Session) -> None:
    """There are new events."""
    # Without a lock of Procrastinate's: held by a worker that died, it would keep all the others waiting for a minute.
    if is_postgresql(session.connection()):
        _defer(session, [_job(FAN_OUT)])


def work_soon(session: Session, due: Iterable[Due], now: datetime) -> None:
    """There is, or will be, something to do for these connections: a job for each run, though no more than can begin.

    The jobs have no lock of Procrastinate's. The claim keeps each lane's order, and a lock would be held by a worker
    that died, and by what is due tomorrow, against all that comes meanwhile.
    """
    if not is_postgresql(session.connection()):
        return
    begins: Counter[int | None] = Counter()
    most = _most_at_once()
    made = []
    for each in due:
        if each.at > now:
            made.append(_job(WORK, _given(each.connection_id, each.at), schedule_at=each.at))
        elif begins[each.connection_id] < most:
            begins[each.connection_id] += 1
            made.append(_job(WORK, _given(each.connection_id, each.at)))
    _defer(session, made)


def look_again(session: Session, connection_id: int | None, at: datetime, now: datetime) -> None:
    """Runs of the connection wait, and may go from `at` on. There is one such job at most, and one for now."""
    given = _given(connection_id, at)
    if at <= now:
        job = _job(WORK, given, queueing_lock=f"{WORK}:{connection_id}")
    else:
        job = _job(WORK, given, queueing_lock=f"{WORK}:{connection_id}:later", schedule_at=at)
    try:
        with session.begin_nested():
            _defer(session, [job])
    except import_module("procrastinate.exceptions").AlreadyEnqueued:
        return


@cache
def _most_at_once() -> int:
    # Whoever is done with a run takes the connection's next, so more jobs than calls at once would only find it busy.
    # Imported here: the receiver puts jobs in as well, and the services' clients would keep it from starting at once.
    most: int = max(each.concurrent for each in import_module("integrations").INTEGRATIONS)
    return most


def _given(connection_id: int | None, at: datetime) -> Mapping[str, Any]:
    # The database says when it is time; a worker whose own clock is behind has to be told that it is.
    return {"connection_id": connection_id, "at": at.isoformat()}


def _job(task: str, given: Mapping[str, Any] | None = None, **how: Any) -> Any:
    return _app().configure_task(task, task_kwargs=dict(given or {}), **how).job


def _defer(session: Session, jobs: Sequence[Any]) -> None:
    if not jobs:
        return
    failures = import_module("procrastinate.exceptions")
    connection = session.connection().connection.driver_connection
    try:
        _app().job_manager.batch_defer_jobs(list(jobs), connection=connection)
    except failures.AlreadyEnqueued:
        raise
    except failures.ConnectorException as error:
        # To whoever works with the transaction it is one more statement that the database did not take.
        raise OperationalError("a job", None, error.__cause__ or error) from error


@cache
def _app() -> Any:
    """Procrastinate as it is needed here: without a connection of its own."""
    procrastinate = import_module("procrastinate")
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
