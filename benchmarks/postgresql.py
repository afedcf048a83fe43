"""One that receives and two workers on PostgreSQL: how much they take, and from a delivery to its call."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.calling import WARM_UP, Burst, at_100_a_second, burst, plain_pool
from benchmarks.installation import THREADS, Serving, install, service_standing_in
from benchmarks.processes import processor_time
from benchmarks.servers import NoServer, Server, database, server
from benchmarks.table import Row, median, milliseconds, quantile

WORKERS = 2
_TRANSACTIONS = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


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


def measure(folder: Path, count: int, rounds: int, url: str | None) -> Iterator[Row]:
    """As `calling` does, with processes that share a PostgreSQL. Without a server there is nothing to measure."""
    try:
        with server(folder, url) as found, database(found.url) as engine:
            yield from _measure(folder, found, engine, count, rounds)
    except NoServer as error:
        yield Row("PostgreSQL", "not measured", str(error))


def _measure(folder: Path, store: Server, database: Engine, count: int, rounds: int) -> Iterator[Row]:
    address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    installation = install(folder / "installation", database=address)
    bursts: list[Burst] = []
    plain, calm, spent = [], [], []
    with (
        service_standing_in(folder) as service,
        installation.cluster(service.port, workers=WORKERS) as serving,
    ):
        burst(serving, service, installation.endpoints, WARM_UP)
        for _ in range(rounds):
            plain.append(plain_pool(service, database, count))
            before = _spent(database, store, serving)
            bursts.append(burst(serving, service, installation.endpoints, count))
            spent.append(_spent(database, store, serving).per_event(before, count))
            calm.append(at_100_a_second(serving, service, installation.endpoints))
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


def _spent(database: Engine, store: Server, serving: Serving) -> _Spent:
    with database.connect() as connection:
        commits: int = connection.execute(_TRANSACTIONS).scalar_one()
    return _Spent(
        commits,
        processor_time(serving.process),
        sum(processor_time(each) for each in serving.workers),
        processor_time(store.process) if store.process else 0.0,
    )
