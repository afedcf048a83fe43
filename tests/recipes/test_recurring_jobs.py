"""The jobs that recur on PostgreSQL: one of a kind at a time, and none stays with a worker that is gone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from recipes.clients import ClientCache
from recipes.db import reading, transaction
from recipes.mail import Mailer
from recipes.settings import Settings
from recipes.vault import Vault

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

RECURRING = {"recovery", "upkeep", "silences", "retention"}


@pytest.fixture
def clock(engine: Engine, settings: Settings, vault: Vault) -> Any:
    """A worker that does not run: its jobs are asked for."""
    distributed = import_module("recipes.clocks.distributed")
    return distributed.DistributedClock(engine, settings, ClientCache(vault, {}), Mailer(settings))


def _with_app(clock: Any, work: Callable[[Any], Awaitable[None]]) -> None:
    async def go() -> None:
        app = clock._app()
        async with app.open_async():
            await work(app)

    asyncio.run(go())


def _stand(engine: Engine, task: str, status: str, queueing_lock: str | None = None) -> None:
    """A job that stands in the queue; one that is being done is a gone worker's."""
    with transaction(engine) as session:
        session.execute(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, lock, status, args) VALUES"
                " ('default', :task, :lock, :lock, CAST(:status AS procrastinate_job_status), '{\"timestamp\": 0}')"
            ),
            {"task": task, "lock": queueing_lock, "status": status},
        )


def _jobs(engine: Engine) -> Sequence[tuple[str, str]]:
    with reading(engine) as session:
        found = session.execute(text("SELECT task_name, CAST(status AS text) FROM procrastinate_jobs ORDER BY id"))
        return [(task, status) for task, status in found]


def test_what_gone_workers_were_at_is_done_again(engine: Engine, clock: Any) -> None:
    """All of it, and a recurring one of which the next waits already once. That one would never have ended, and kept
    what stands behind it from being done again.
    """
    _stand(engine, "recovery", "doing", "recovery")
    _stand(engine, "recovery", "todo", "recovery")
    _stand(engine, "retention", "doing", "retention")
    _stand(engine, "look", "doing")
    _with_app(clock, lambda app: clock._retry_stalled(SimpleNamespace(app=app), 0))
    assert _jobs(engine) == [("recovery", "todo"), ("retention", "todo"), ("look", "todo")]


def test_a_recurring_job_is_not_done_twice_at_once(engine: Engine, clock: Any) -> None:
    """However long one takes: the next of its kind waits for it, and no other does."""
    taken: list[str] = []

    async def take_twice(app: Any) -> None:
        worker = await app.job_manager.register_worker()
        for _ in range(2):
            for name in sorted(RECURRING):
                await app.tasks[name].configure(task_kwargs={"timestamp": 0}).defer_async()
            while job := await app.job_manager.fetch_job(None, worker):
                taken.append(job.task_name)

    _with_app(clock, take_twice)
    assert sorted(taken) == sorted(RECURRING)
