"""What a large database costs: accepting and claiming with many events stored, beside the same with few."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from benchmarks import deliveries
from benchmarks.installation import STORES, Installation, install
from benchmarks.table import Row, median
from recipes import engine as runs
from recipes.db import open_database, transaction
from recipes.models import AttemptResult, RunState
from recipes.spool import Delivery
from recipes.storing import store

FEW = 10_000
_BATCH = 64
_TIMES = 60

# What is stored for an event of which a recipe was performed: all of it, as the service would have written it. Orders'
# ids and hashes are random, so that keys come to lie anywhere in their index.
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
_FILL = (
    _NUMBERS
    + "INSERT INTO event (id, merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, subject,"
    " occurred_at, received_at, body, fanned_out_at) SELECT i, 1 + i % :stores, 1 + i % :stores, 'live',"
    " 'order.completed', 'webhook', 'ready', '', 'buyer-' || i || '@example.com', :then, :then, :body, :then FROM n",
    _NUMBERS + "INSERT INTO identity_key (endpoint_id, key, event_id, until) SELECT 1 + i % :stores,"
    " 'order.completed:order_' || lower(hex(randomblob(12))), i, NULL FROM n",
    _NUMBERS + "INSERT INTO identity_key (endpoint_id, key, event_id, until) SELECT 1 + i % :stores,"
    " 'same:order.completed:' || lower(hex(randomblob(16))), i, :then FROM n",
    _NUMBERS
    + "INSERT INTO run (id, merchant_id, event_id, recipe_id, version_id, again, connection_id, lane, order_at,"
    " state, step, attempt, doubt, due_at, outcome, created_at, finished_at) SELECT i, 1 + i % :stores, i,"
    " 1 + i % :stores, 1 + i % :stores, 0, 1 + i % :stores, 'mailchimp:1:buyer-' || i || '@example.com', :then,"
    " 'succeeded', 0, 1, 0, :then, 'The buyer is in the audience.', :then, :then FROM n",
    _NUMBERS + "INSERT INTO attempt (run_id, step, number, started_at, milliseconds, result, outcome, request, answer)"
    " SELECT i, 0, 1, :then, 55, 'succeeded', 'The buyer is in the audience.',"
    ' \'{"audience": "a1b2c3", "email": "buyer-\' || i || \'@example.com"}\', \'\' FROM n',
)
_PART = 100_000


def fill(installation: Installation, count: int, stores: int = STORES) -> None:
    """Stores so many past events in an empty installation, each with its finished run."""
    values = {"stores": stores, "then": "2025-01-01 00:00:00.000000", "body": deliveries.body()}
    with closing(sqlite3.connect(installation.file, isolation_level=None)) as database:
        # Nobody would miss it: this is how it is filled, not how it is used.
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-400000")
        for first in range(1, count + 1, _PART):
            database.execute("BEGIN")
            for statement in _FILL:
                database.execute(statement, {**values, "first": first, "last": min(first + _PART - 1, count)})
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def measure(folder: Path, stored: int) -> Iterator[Row]:
    """In turn in the small and the large database, in this process: what a batch costs, without the network."""
    engines = []
    for name, count in (("few", FEW), ("many", stored)):
        installation = install(folder / name)
        fill(installation, count)
        engines.append(open_database(installation.settings.database))
    accepting: tuple[list[float], list[float]] = ([], [])
    claiming: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMES):
        for which, engine in enumerate(engines):
            accepted, claimed = _accept(engine), _claim(engine)
            if number:  # the first fills caches
                accepting[which].append(accepted)
                claiming[which].append(claimed)
    for engine in engines:
        engine.dispose()
    for what, (few, many) in (("accepting", accepting), ("fanning out, claiming and settling", claiming)):
        yield Row(
            f"{what}, {stored:,} events stored (batches of {_BATCH})",
            f"{median(many) / _BATCH * 1e6:.0f} µs an event",
            f"{FEW:,} stored: {median(few) / _BATCH * 1e6:.0f} µs",
            median(many) / median(few),
            "at most 1.10",
        )


def _accept(engine: Engine) -> float:
    now = datetime.now(UTC)
    batch = [
        Delivery(1 + number % STORES, 1 + number % STORES, "live", deliveries.body(), deliveries.EVENT, None, now)
        for number in range(_BATCH)
    ]
    begun = time.perf_counter()
    store(engine, batch)
    return time.perf_counter() - begun


def _claim(engine: Engine) -> float:
    begun, now = time.perf_counter(), datetime.now(UTC)
    with transaction(engine) as session:
        runs.fan_out(session, now=now)
        claimed = runs.claim(session, now=now, lease="bench", limits=runs.Limits(), limit=_BATCH)
    if len(claimed) != _BATCH:
        raise RuntimeError(f"{len(claimed)} of {_BATCH} runs could be claimed")
    took = time.perf_counter() - begun
    performed = [
        runs.Performed(each, RunState.SUCCEEDED, "Done.", now, now, AttemptResult.SUCCEEDED) for each in claimed
    ]
    begun = time.perf_counter()
    with transaction(engine) as session:
        runs.settle(session, performed, now=now)
    return took + time.perf_counter() - begun
