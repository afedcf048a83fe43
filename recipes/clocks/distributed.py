"""The clock of many machines: Procrastinate's jobs in PostgreSQL, taken by any number of workers.

The tables are the truth; a job says when to look. What a worker then does is `sharing.py`.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import procrastinate
import psycopg
from procrastinate import RetryDecision
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import DeleteJobCondition, Job, Status
from sqlalchemy import Connection, Engine

from recipes import engine as runs
from recipes import jobs, upkeep
from recipes.clocks.database_time import time_of
from recipes.clocks.sharing import SharedDispatcher
from recipes.db import UNAVAILABLE, transaction
from recipes.mail import Mailer
from recipes.moved import check_in_use
from recipes.retention import forget_old
from recipes.settings import Settings

logger = logging.getLogger(__name__)

REST_SECONDS = 1.0
# Jobs at once: those that recur, each in a thread, and one that says to look, which takes no time.
JOBS = 6


@dataclass(frozen=True)
class Rhythm:
    """How soon things are noticed, in seconds; cron patterns are Procrastinate's, with a field for seconds at the end.

    A worker is taken for dead after `heartbeat` x 3 without a sign, its runs when their `lease` is over. It shows life
    for them every `renewal`, four times in a lease if not given: for where the database's time, in which the lease is,
    passes otherwise than this machine's.
    """

    lease: float = 60.0
    renewal: float | None = None
    heartbeat: float = 10.0
    poll: float = 1.0
    recovery: str = "* * * * * */10"
    upkeep: str = "* * * * *"
    silences: str = "*/15 * * * *"
    retention: str = "17 3 * * *"


class _Again(procrastinate.BaseRetryStrategy):
    """A job that broke, as when the database went away, is done again."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        return RetryDecision(retry_in={"seconds": min(2**job.attempts, 60)})


class DistributedClock:
    """One worker: takes jobs until stopped. Any number may be at work on a database."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clients: runs.performing.Clients,
        mailer: Mailer,
        rhythm: Rhythm = Rhythm(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        alive: Callable[[], None] = lambda: None,
        works: Callable[[], None] = lambda: None,
        database_time: Callable[[Connection], datetime] = time_of,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._mailer = mailer
        self._rhythm = rhythm
        self._dispatcher = SharedDispatcher(
            engine,
            settings,
            clients,
            lease_seconds=rhythm.lease,
            renewal_seconds=rhythm.renewal,
            now=now,
            alive=alive,
            works=works,
            database_time=database_time,
        )
        self._now = self._dispatcher.time
        self._alive = alive
        self._number: int | None = None
        self._stopping = threading.Event()
        self._stop: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Tells the worker that there is something to do, as a job does."""
        self._dispatcher.wake()

    def stop(self) -> None:
        """Takes nothing more; `run` returns once what is under way has been settled. From any thread."""
        self._stopping.set()
        self._dispatcher.stop()
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._stop()

    def run(self) -> None:
        """Works until stop() is called. While the database is away it waits for it.

        Raises Moved, before it has touched anything, if a move into this database has begun.
        """
        try:
            if self._may_begin():
                self._work()
        finally:
            if self._number is not None:
                with contextlib.suppress(*UNAVAILABLE), transaction(self._engine) as session:
                    jobs.sign_off(session, self._number)

    def _may_begin(self) -> bool:
        """Signs on, then asks: a move that begins later finds this worker, one that began earlier is found."""
        while not self._stopping.is_set():
            self._alive()
            try:
                if self._number is None:
                    with transaction(self._engine) as session:
                        self._number = jobs.sign_on(session)
                check_in_use(self._engine)
                return True
            except UNAVAILABLE as error:
                logger.warning("the worker has to wait: the database does not answer (%s)", type(error).__name__)
            self._stopping.wait(REST_SECONDS)
        return False

    def _work(self) -> None:
        dispatching = threading.Thread(target=self._dispatch, name="dispatcher")
        dispatching.start()
        try:
            asyncio.run(self._run())
        finally:
            self.stop()
            dispatching.join()

    def _dispatch(self) -> None:
        try:
            self._dispatcher.run()
        finally:
            self.stop()  # should it break: a worker that only seems to work is worse than one that has ended

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(JOBS, thread_name_prefix="job"))
        stopping = asyncio.Event()

        def stop() -> None:
            loop.call_soon_threadsafe(stopping.set)

        self._stop = stop
        while not self._stopping.is_set():
            try:
                await self._work_until(stopping)
            except (ConnectorException, psycopg.Error, OSError) as error:
                logger.warning("the worker has to wait: the database does not answer (%s)", type(error).__name__)
            except Exception:
                logger.exception("the worker broke off; it begins again")
            if not self._stopping.is_set():
                await asyncio.wait([asyncio.ensure_future(stopping.wait())], timeout=REST_SECONDS)

    async def _work_until(self, stopping: asyncio.Event) -> None:
        app = self._app()
        async with app.open_async():
            worker = asyncio.ensure_future(
                app.run_worker_async(
                    concurrency=JOBS,
                    install_signal_handlers=False,
                    listen_notify=True,
                    delete_jobs=DeleteJobCondition.ALWAYS,
                    fetch_job_polling_interval=self._rhythm.poll,
                    update_heartbeat_interval=self._rhythm.heartbeat,
                    stalled_worker_timeout=self._rhythm.heartbeat * 3,
                )
            )
            asked = asyncio.ensure_future(stopping.wait())
            await asyncio.wait([worker, asked], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if not worker.done():
                worker.cancel()  # it finishes the jobs that it has
            with contextlib.suppress(asyncio.CancelledError):
                await worker

    def _app(self) -> procrastinate.App:
        # SQLAlchemy's name for the driver is not one that the driver knows.
        address = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=address, min_size=1, max_size=4, timeout=10.0)
        )
        app.task(name=jobs.LOOK, retry=_Again())(self._look)
        # Each is deferred once in the cluster when its time comes, and not again while it waits; nor is it done twice
        # at once, but for the one that ends what the dead are at.
        for name, cron, task, lock in (
            ("stalled", self._rhythm.recovery, self._retry_stalled, None),
            ("recovery", self._rhythm.recovery, self._recover, "recovery"),
            ("upkeep", self._rhythm.upkeep, self._upkeep, "upkeep"),
            ("silences", self._rhythm.silences, self._notice_silences, "silences"),
            ("retention", self._rhythm.retention, self._forget_old, "retention"),
        ):
            app.periodic(cron=cron)(app.task(name=name, queueing_lock=name, lock=lock, pass_context=True)(task))
        return app

    async def _look(self, at: str | None = None) -> None:
        """Done with at once: what there is to do is found without a job, too, though later."""
        if at:
            self._dispatcher.wake_at(datetime.fromisoformat(at))
        else:
            self._dispatcher.wake()

    def _recover(self, _context: Any, timestamp: int) -> None:
        """Puts back what dead workers had.

        Where the database was away, or this worker has just begun, living ones may not have shown life for their runs:
        they are left the time for it.
        """
        if self._dispatcher.has_been_there_for() > timedelta(seconds=self._dispatcher.renewal_seconds):
            self._now.keep()
            upkeep.recover_runs(self._engine, self._now())

    def _upkeep(self, _context: Any, timestamp: int) -> None:
        upkeep.mend_due_times(self._engine, self._now())
        upkeep.send_notices(self._engine, self._mailer, self._settings.public_url, self._now())

    def _notice_silences(self, _context: Any, timestamp: int) -> None:
        upkeep.notice_silences(self._engine, self._mailer, self._settings.public_url, self._now())

    async def _retry_stalled(self, context: Any, timestamp: int) -> None:
        """Jobs of workers that are gone are done again by others."""
        manager = context.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._rhythm.heartbeat * 3):
            try:
                await manager.retry_job(job)
            except UniqueViolation:
                # One that recurs, and the next of its kind waits already: that is all it takes.
                await manager.finish_job(job, Status.FAILED, delete_job=True)

    def _forget_old(self, _context: Any, timestamp: int) -> None:
        forget_old(self._engine, keep_days=self._settings.keep_days, now=self._now(), pause=self._stopping.wait)
