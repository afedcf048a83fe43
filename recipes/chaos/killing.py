"""Starts victims, kills them at random moments, and lets what is left come to its end."""

import contextlib
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, make_url, text

from recipes.chaos.nursery import Nursery
from recipes.chaos.place import Place, furnish, sign_of_work
from recipes.chaos.sales import Sales
from recipes.chaos.server import OwnServer, new_database, own_server
from recipes.chaos.standin import StandIn
from recipes.chaos.topology import CLUSTER, EMBEDDED, Death, Topology
from recipes.chaos.verdict import Report, judge
from recipes.db import UNAVAILABLE, is_postgresql, open_database, transaction

SHARE_LOCKED = 0.1
LOCK_WAIT = 0.2
LONGEST_ABSENCE = 0.6
LOOK_SECONDS = 0.2
SIGN_SECONDS = 0.005
LONGEST_START = 10.0
# Of the work at the end: until time is moved on, and until nothing more is to be expected.
STANDSTILL, LONGEST_STANDSTILL = 3.0, 120.0
A_DAY = 86_400.0
_OPEN = "SELECT count(*) FROM run WHERE state IN ('queued', 'running', 'waiting', 'held')"
_UNSEEN = "SELECT count(*) FROM event WHERE fanned_out_at IS NULL"


class Chaos:
    """One go. folder: a new one, for this alone. seconds: after which no more is killed, however few it were.

    database: a PostgreSQL database, for this alone, whose name is `database_name`; "" for a file. server: the one that
    it is on, if it may be killed.
    """

    def __init__(
        self,
        folder: Path,
        topology: Topology = EMBEDDED,
        *,
        seed: int,
        kills: int,
        seconds: float,
        database: str = "",
        server: OwnServer | None = None,
    ) -> None:
        self.database_name = make_url(database).database if database else None
        self._random = random.Random(seed)  # noqa: S311 - chaos, not secrets
        self._kills = kills
        self._seconds = seconds
        self._topology = topology
        self._server = server
        self._services = StandIn(seed)
        self._place = Place(str(folder), self._services.url, secrets.token_hex(32), time.time(), database)
        files = {name: self._place.machine(name) / "answers" for name in topology.receivers}
        self._sales = Sales(self._random, lambda: self._place.now(self._ahead), files, topology.rounds)
        self._workers: dict[str, int] = {}
        self._receivers: dict[str, int] = {}
        self._deaths: list[Death] = []
        self._killed: Counter[str] = Counter()
        self._ahead = 0.0

    def run(self) -> Report:
        """Kills, waits for the end, and judges."""
        began = time.monotonic()
        furnish(self._place)
        with contextlib.closing(self._services), Nursery(self._place) as nursery:
            while self._killed.total() < self._kills and time.monotonic() - began < self._seconds:
                self._kill_once(nursery)
            took = time.monotonic() - began
            self._end_all(nursery)
            self._come_to_an_end(nursery)
        with self._database() as database, database.connect() as connection:
            return judge(connection, self._sales.answers, self._services, killed=self._killed, seconds=took)

    def _kill_once(self, nursery: Nursery) -> None:
        """Lets everything live for a moment, then kills a part of it."""
        self._start_missing(nursery)
        if self._random.random() < self._topology.share_at_work:
            self._wait_for_workers()
        if self._random.random() < SHARE_LOCKED:
            self._lock(self._random.uniform(0, self._topology.longest_lock))
        time.sleep(self._random.uniform(0, self._topology.longest_life))
        death = self._next_death()
        if death.database and self._server:
            self._server.kill()
            self._killed["database"] += 1
            time.sleep(self._random.uniform(0, LONGEST_ABSENCE))
        for name in self._random.sample(self._topology.receivers, death.receivers):
            self._end_receiver(nursery, name, signal.SIGKILL)
            self._killed["inbox"] += 1
        for name in self._random.sample(self._topology.workers, death.workers):
            nursery.end(self._workers.pop(name), signal.SIGKILL)
            self._killed[self._topology.role] += 1
        if death.workers and self._topology.is_alone:
            # The next begins at once with what it finds; of several, none does before a lease has ended.
            self._services.read_all()
        if death.database and self._server:
            self._server.start()

    def _next_death(self) -> Death:
        """Each in its turn, so that none is left out by chance."""
        if not self._deaths:
            self._deaths = self._random.sample(self._topology.deaths, len(self._topology.deaths))
        return self._deaths.pop()

    def _start_missing(self, nursery: Nursery) -> None:
        for name in self._topology.workers:
            if name not in self._workers:
                self._start_worker(nursery, name)
        for name in self._topology.receivers:
            if name not in self._receivers:
                self._start_receiver(nursery, name, orders=self._sales.tell(name))

    def _start_worker(self, nursery: Nursery, name: str) -> None:
        sign_of_work(self._place.machine(name)).unlink(missing_ok=True)
        self._workers[name] = nursery.fork(self._topology.role, machine=name, ahead=self._ahead)

    def _wait_for_workers(self) -> None:
        """Where many things are done at once a start may take longer than a life, and nobody would come to anything."""
        signs = [sign_of_work(self._place.machine(name)) for name in self._workers]
        deadline = time.monotonic() + LONGEST_START
        while not all(sign.exists() for sign in signs) and time.monotonic() < deadline:
            time.sleep(SIGN_SECONDS)

    def _start_receiver(self, nursery: Nursery, name: str, **given: object) -> None:
        self._receivers[name] = nursery.fork(
            "inbox", machine=name, ahead=self._ahead, rest=self._topology.rest, **given
        )

    def _end_receiver(self, nursery: Nursery, name: str, how: signal.Signals) -> None:
        nursery.end(self._receivers.pop(name), how)
        self._sales.learn(name)

    def _come_to_an_end(self, nursery: Nursery) -> None:
        """Lets them work until nothing is left to do; none is killed any more. Time is moved on to the next try."""
        left = self._left()
        deadline = time.monotonic() + LONGEST_STANDSTILL
        while left and time.monotonic() < deadline:
            for name in self._topology.workers:
                self._start_worker(nursery, name)
            if self._place.postgresql:
                # What they have in their spools is for nobody else to bring in.
                for name in self._topology.receivers:
                    self._start_receiver(nursery, name, orders=[])
            until = time.monotonic() + STANDSTILL
            while left and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
                before, left = left, self._left()
                if left != before:
                    now = time.monotonic()
                    until, deadline = now + STANDSTILL, now + LONGEST_STANDSTILL
            self._end_all(nursery)
            self._ahead += A_DAY

    def _end_all(self, nursery: Nursery) -> None:
        for name in list(self._receivers):
            self._end_receiver(nursery, name, signal.SIGTERM)
        for name in list(self._workers):
            nursery.end(self._workers.pop(name), signal.SIGTERM)

    def _left(self) -> int:
        """How much there is still to do: runs, events without any, batches in spools."""
        spools = [self._place.machine(name) / "spool" for name in self._topology.receivers]
        spooled = sum(1 for spool in spools for _ in spool.glob("*.jsonl"))
        with self._database() as database, database.connect() as connection:
            return spooled + sum(int(connection.execute(text(each)).scalar_one()) for each in (_OPEN, _UNSEEN))

    def _lock(self, seconds: float) -> None:
        """Keeps all from writing events, as a backup or another program may: deliveries go to the spool."""
        with self._database() as database, contextlib.suppress(*UNAVAILABLE), transaction(database) as session:
            if is_postgresql(database):
                session.execute(text("LOCK TABLE event IN EXCLUSIVE MODE"))
            time.sleep(seconds)

    @contextmanager
    def _database(self) -> Iterator[Engine]:
        # Open only for as long as it is needed: a file that nobody has open any more is put in order by who comes next.
        engine = open_database(self._place.database, wait_seconds=LOCK_WAIT)
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def cluster_chaos(folder: Path, url: str | None, *, seed: int, kills: int, seconds: float) -> Iterator[Chaos]:
    """Two receivers and three workers on PostgreSQL: on a new database of the server at `url`, or on a server of its
    own that is killed as well. The database is removed when the block ends without an error. Raises NoServer.
    """
    with contextlib.ExitStack() as stack:
        server = None if url else stack.enter_context(own_server(folder / "postgresql"))
        database = stack.enter_context(new_database(server.url if server else url or ""))
        topology = CLUSTER if server else CLUSTER.without_database()
        yield Chaos(folder, topology, seed=seed, kills=kills, seconds=seconds, database=database, server=server)
