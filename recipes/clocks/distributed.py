"""The clock of many machines: Procrastinate's jobs in PostgreSQL, taken by any number of workers.

The run table is the truth; a job says when to look, and at which connection. Whoever is done with a run of a connection
looks for the next one there, so a job that finds the connection as busy as it may be can simply end.
"""

import asyncio
import contextlib
import logging
import random
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import procrastinate
import psycopg
from procrastinate import RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Job
from sqlalchemy import Engine
from sqlmodel import Session

from recipes import engine as runs
from recipes import jobs, upkeep
from recipes.db import UNAVAILABLE, Lock, one_at_a_time, reading, transaction
from recipes.mail import Mailer
from recipes.retention import forget_old
from recipes.rows import MerchantRows
from recipes.settings import Settings

logger = logging.getLogger(__name__)

FAN_OUT_BATCH = 500
REST_SECONDS = 1.0
MOST_IN_A_ROW = 50
# Parts of what was kept, of 25 runs each, at every upkeep.
MOST_KEPT = 40
# How often a stopping worker tries to write what it has done.
LAST_TRIES = 20
# Threads beside those that call services: for upkeep and fan-out, so that slow services do not keep these waiting.
SPARE_THREADS = 4


@dataclass(frozen=True)
class Rhythm:
    """How soon things are noticed, in seconds; cron patterns are Procrastinate's, with a field for seconds at the end.

    A worker is taken for dead after `heartbeat` x 3 without a sign, its runs when their `lease` is over.
    """

    lease: float = runs.LEASE.total_seconds()
    heartbeat: float = 10.0
    poll: float = 1.0
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
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._mailer = mailer
        self._rhythm = rhythm
        self._now = now
        self._alive = alive
        self._lease = uuid.uuid4().hex
        self._tools = runs.Tools(
            clients=clients,
            rows=lambda merchant_id, is_test: MerchantRows(engine, merchant_id, now, is_test),
            now=now,
            jitter=lambda: random.uniform(-0.2, 0.2),  # noqa: S311 - spreads retries, guards nothing
        )
        self._under_way: set[int] = set()
        self._stopping = threading.Event()
        self._rest = threading.Event()  # never set: to wait by
        self._stop: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Takes nothing more; `run` returns once what is under way has been settled. From any thread."""
        self._stopping.set()
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._stop()

    def run(self) -> None:
        """Works until stop() is called. While the database is away it waits for it."""
        keeper = threading.Thread(target=self._extend_leases, name="leases", daemon=True)
        keeper.start()
        asyncio.run(self._run())
        keeper.join()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        threads = self._settings.engine_threads + SPARE_THREADS
        # Procrastinate calls tasks in asyncio's own pool, which has six threads on two cores.
        pool = ThreadPoolExecutor(threads, thread_name_prefix="job")
        loop.set_default_executor(pool)
        stopping = asyncio.Event()

        def stop() -> None:
            loop.call_soon_threadsafe(stopping.set)

        self._stop = stop
        signs = asyncio.ensure_future(self._show_life())
        while not self._stopping.is_set():
            try:
                await self._work_until(stopping, threads)
            except (ConnectorException, psycopg.Error, OSError) as error:
                logger.warning("the worker has to wait: the database does not answer (%s)", type(error).__name__)
            except Exception:
                logger.exception("the worker broke off; it begins again")
            if not self._stopping.is_set():
                await asyncio.wait([asyncio.ensure_future(stopping.wait())], timeout=REST_SECONDS)
        signs.cancel()

    async def _show_life(self) -> None:
        while True:
            self._alive()
            await asyncio.sleep(REST_SECONDS)

    async def _work_until(self, stopping: asyncio.Event, threads: int) -> None:
        app = self._app()
        async with app.open_async():
            worker = asyncio.ensure_future(
                app.run_worker_async(
                    concurrency=threads,
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
        app.task(name=jobs.FAN_OUT, retry=_Again())(self._fan_out)
        app.task(name=jobs.WORK, retry=_Again())(self._work)
        # Each is deferred once in the cluster when its time comes, and not again while it waits.
        for name, cron, task in (
            ("upkeep", self._rhythm.upkeep, self._upkeep),
            ("stalled", self._rhythm.upkeep, self._retry_stalled),
            ("silences", self._rhythm.silences, self._notice_silences),
            ("retention", self._rhythm.retention, self._forget_old),
        ):
            app.periodic(cron=cron)(app.task(name=name, queueing_lock=name, pass_context=True)(task))
        return app

    # ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────────

    def _fan_out(self) -> None:
        with reading(self._engine) as session:
            if not runs.has_events(session):
                return  # another has done it, and nobody has to wait for the lock
        with transaction(self._engine) as session:
            if runs.fan_out(session, now=self._now(), limit=FAN_OUT_BATCH) == FAN_OUT_BATCH:
                jobs.fan_out_soon(session)

    def _work(self, connection_id: int | None, at: str) -> None:
        """Runs of one connection, one after another, until none may go there; not for ever, as others wait, too."""
        claimed: Sequence[runs.Claimed] = ()
        for turn in range(MOST_IN_A_ROW + 1):
            returned = [runs.perform(each, self._tools) for each in claimed]
            try:
                claimed = self._turn(connection_id, datetime.fromisoformat(at), returned, is_last=turn == MOST_IN_A_ROW)
            finally:
                # Also if the result cannot be written: then the run is taken up again when its lease is over.
                self._under_way.difference_update(each.claimed.run_id for each in returned)
            if not claimed:
                return

    def _turn(
        self, connection_id: int | None, at: datetime, returned: Sequence[runs.Performed], is_last: bool
    ) -> Sequence[runs.Claimed]:
        """Settles what has come back and claims what is next there, in one transaction."""
        tries = 0
        barer = list(runs.ever_barer(returned[0]))[1:] if returned else []
        while True:
            try:
                with transaction(self._engine) as session:
                    claimed = self._settle_and_claim(session, connection_id, at, returned, is_last)
                break
            except UNAVAILABLE as error:
                tries += 1
                if not returned or (self._stopping.is_set() and tries > LAST_TRIES):
                    raise  # the job is done again
                # What was done has to be written down. Should that take longer than the lease, another worker finds the
                # run, and asks before it repeats what cannot be repeated.
                logger.warning("a result has to wait: the database cannot be written (%s)", type(error).__name__)
                self._rest.wait(REST_SECONDS)
            except Exception:
                if not barer:
                    raise
                logger.exception("the result of run %d cannot be written: trying less of it", barer[0].claimed.run_id)
                returned = [barer.pop(0)]
        self._under_way.update(each.run_id for each in claimed)
        return claimed

    def _settle_and_claim(
        self,
        session: Session,
        connection_id: int | None,
        at: datetime,
        returned: Sequence[runs.Performed],
        is_last: bool,
    ) -> Sequence[runs.Claimed]:
        now = max(self._now(), at)
        # First of all: who has this lock and then waits for a run never meets one who does it the other way round.
        one_at_a_time(session, Lock.CLAIM, {connection_id or 0})
        limits = runs.SharedLimits(session)
        runs.settle(session, returned, now=now)
        for each in returned:
            if each.rest_until and each.claimed.connection_id is not None:
                limits.rest(each.claimed.connection_id, each.rest_until)
        if is_last or self._stopping.is_set():
            jobs.look_again(session, connection_id, now, now)  # another goes on here
            return []
        claimed = runs.claim(
            session,
            now=now,
            lease=self._lease,
            limits=limits,
            limit=1,
            only=[connection_id],
            lease_time=timedelta(seconds=self._rhythm.lease),
        )
        if not claimed and connection_id is not None:
            for _, app in runs.active_among(session, [connection_id]):
                free_at = limits.free_at(connection_id, app, now)
                if free_at > now:
                    jobs.look_again(session, connection_id, free_at, now)
        return claimed

    # ── From time to time ────────────────────────────────────────────────────────────────────────────────

    def _upkeep(self, _context: Any, timestamp: int) -> None:
        upkeep.recover_runs(self._engine, self._now())
        self._make_kept_runs()
        upkeep.wake_what_is_due(self._engine, self._now())
        upkeep.send_notices(self._engine, self._mailer, self._settings.public_url, self._now())

    def _notice_silences(self, _context: Any, timestamp: int) -> None:
        upkeep.notice_silences(self._engine, self._mailer, self._settings.public_url, self._now())

    def _make_kept_runs(self) -> None:
        """What was kept has waited: some of it every time, a little at once, which leaves the database to the rest."""
        with reading(self._engine) as session:
            if not runs.has_kept_work(session):
                return
        for _ in range(MOST_KEPT):
            with transaction(self._engine) as session:
                runs.make_kept_runs(session, now=self._now())
                if self._stopping.is_set() or not runs.has_kept_work(session):
                    return

    async def _retry_stalled(self, context: Any, timestamp: int) -> None:
        """Jobs of workers that are gone are done again by others."""
        manager = context.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._rhythm.heartbeat * 3):
            await manager.retry_job(job)

    def _forget_old(self, _context: Any, timestamp: int) -> None:
        forget_old(self._engine, keep_days=self._settings.keep_days, now=self._now(), pause=self._stopping.wait)

    def _extend_leases(self) -> None:
        while not self._stopping.wait(self._rhythm.lease / 4):
            under_way = list(self._under_way)
            if not under_way:
                continue
            try:
                with transaction(self._engine) as session:
                    runs.extend_leases(
                        session,
                        lease=self._lease,
                        runs=under_way,
                        now=self._now(),
                        lease_time=timedelta(seconds=self._rhythm.lease),
                    )
            except UNAVAILABLE as error:
                logger.warning("leases could not be extended (%s)", type(error).__name__)
