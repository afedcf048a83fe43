"""What 10,000 merchants cost on PostgreSQL: sizes, and what a batch, a page and a day's retention take, beside few."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, text
from sqlmodel import Session

from benchmarks import deliveries
from benchmarks.scale_filling import MERCHANTS, fill
from benchmarks.servers import NoServer, database, server
from benchmarks.table import Row, median
from recipes import cookbook, ledger, upkeep
from recipes import engine as runs
from recipes.db import Lock, reading, transaction, whichever_is_free
from recipes.models import AttemptResult, RunState
from recipes.retention import EVENTS_AT_ONCE, forget_old
from recipes.spool import Delivery
from recipes.storing import store

FEW = 10_000
BATCH = 64
TIMES = 20
# What retention deletes: the first sixth, which is one day of 10,000,000 events.
OLD_SHARE = 1 / 6
KEEP_DAYS = 400
PARTS = 100
LARGE = 100_000
# So that a page of a store is as full there.
FEW_MERCHANTS = 100

Timings = dict[str, list[float]]


@dataclass(frozen=True)
class Filled:
    """A database, and how many merchants it has. The first of them has by far the most events."""

    engine: Engine
    merchants: int


def measure(folder: Path, stored: int, url: str | None = None) -> Iterator[Row]:
    """Fills two databases, which takes some minutes for a million, and takes turns between them."""
    try:
        with server(folder, url) as found, database(found.url) as few, database(found.url) as many:
            fill(few, FEW, print, merchants=FEW_MERCHANTS)
            seconds = fill(many, stored, print)
            yield Row(f"{stored:,} events stored with their runs, tries and keys", f"{seconds:,.0f} s")
            yield from compare(Filled(few, FEW_MERCHANTS), Filled(many, MERCHANTS), stored)
    except NoServer as error:
        yield Row("10,000 merchants on PostgreSQL", f"not measured: {error}")


def compare(few: Filled, many: Filled, stored: int, times: int = TIMES) -> Iterator[Row]:
    """The figures of two filled databases."""
    yield from _sizes(many.engine, stored)
    sides: tuple[Timings, Timings] = {}, {}
    whole: set[str] = set()
    for number in range(times + 1):
        for side, found in zip((few, many), sides, strict=True):
            # The first go fills caches, and is looked at for plans that read a whole table.
            with explained(many.engine, whole) if number == 0 and side is many else nullcontext():
                for what, seconds in _one_round(side):
                    found.setdefault(what, []).extend([seconds] if number else [])
    for what in sides[1]:
        small, large = median(sides[0][what]), median(sides[1][what])
        yield Row(what, f"{large * 1000:.2f} ms", f"{FEW:,} stored: {small * 1000:.2f} ms", large / small)
    with explained(many.engine, whole):
        yield from _retention(many.engine)
    yield Row("statements that read a whole large table", "; ".join(sorted(whole)) or "none", aim="none")


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────────────────

_TABLES = (
    "SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace AND pg_total_relation_size(oid) > 5000000 ORDER BY 2 DESC"
)
_INDEXES = (
    "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid ="
    " indrelid WHERE relnamespace = 'public'::regnamespace AND pg_relation_size(indexrelid) > 1000000 ORDER BY 2 DESC"
)


def _sizes(engine: Engine, stored: int) -> Iterator[Row]:
    with engine.connect() as connection:
        for name, table, indexes in connection.execute(text(_TABLES)):
            figure = f"{_megabytes(table)} and {_megabytes(indexes)} of indexes"
            yield Row(f"table {name}", figure, f"{(table + indexes) / stored:,.0f} B an event")
        for name, size in connection.execute(text(_INDEXES)):
            yield Row(f"index {name}", _megabytes(size), f"{size / stored:,.1f} B an event")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


# ── What is done all day ─────────────────────────────────────────────────────────────────────────────────


def _one_round(side: Filled) -> Iterator[tuple[str, float]]:
    engine = side.engine
    yield from _work(side)
    for name, merchant_id in (("the busiest store", 1), ("a usual store", side.merchants // 2)):
        for what, ask in _PAGES.items():
            yield f"{what}, {name}", _timed(partial(_ask, engine, ask, merchant_id))
    now = datetime.now(UTC)
    yield "looking for what is lost, and for what is due", _timed(lambda: _look(engine, now))


def _work(side: Filled) -> Iterator[tuple[str, float]]:
    engine, now = side.engine, datetime.now(UTC)
    owners = random.sample(range(1, side.merchants + 1), BATCH)
    batch = [Delivery(owner, owner, "live", deliveries.body(), deliveries.EVENT, None, now) for owner in owners]
    yield f"accept a batch of {BATCH}", _timed(lambda: store(engine, batch))
    yield f"fan out {BATCH} events", _timed(lambda: _fan_out(engine, now))
    claimed: list[runs.Claimed] = []
    yield f"claim {BATCH} runs", _timed(lambda: claimed.extend(_claim(engine, now)))
    if len(claimed) != BATCH:
        raise RuntimeError(f"{len(claimed)} of {BATCH} runs could be claimed")
    yield f"settle {BATCH} runs", _timed(lambda: _settle(engine, claimed, now))


def _fan_out(engine: Engine, now: datetime) -> None:
    with transaction(engine) as session:
        if runs.fan_out(session, now=now) != BATCH:
            raise RuntimeError("not all events could be fanned out")


def _claim(engine: Engine, now: datetime) -> Sequence[runs.Claimed]:
    with transaction(engine) as session:
        due = runs.connections_due(session, now)
        ours = whichever_is_free(session, Lock.CLAIM, {connection_id or 0 for connection_id, _ in due})
        limits = runs.SharedLimits(session, ours - {0})
        return runs.claim(session, now=now, lease="bench", limits=limits, limit=BATCH, due=due)


def _settle(engine: Engine, claimed: Sequence[runs.Claimed], now: datetime) -> None:
    done = [runs.Performed(each, RunState.SUCCEEDED, "Done.", now, now, AttemptResult.SUCCEEDED) for each in claimed]
    with transaction(engine) as session:
        runs.settle(session, done, now=now)


def _look(engine: Engine, now: datetime) -> None:
    upkeep.recover_runs(engine, now)
    with reading(engine) as session:
        runs.connections_due(session, now)


def _home(session: Session, merchant_id: int) -> None:
    now = datetime.now(UTC)
    ledger.counters(session, merchant_id, now)
    cookbook.shelf(session, merchant_id)
    ledger.needs_attention(session, merchant_id, now)
    ledger.events_page(session, merchant_id, limit=8)


def _one_event(session: Session, merchant_id: int) -> None:
    for latest in ledger.events_page(session, merchant_id, limit=1).items:
        ledger.event_detail(session, merchant_id, latest.id)
        ledger.runs_of_event(session, merchant_id, latest.id)


_PAGES: dict[str, Callable[[Session, int], Any]] = {
    "Home": _home,
    "Activity": ledger.events_page,
    "Activity, of one type": lambda session, owner: ledger.events_page(session, owner, type="invoice.paid"),
    "Activity, of one buyer": lambda session, owner: ledger.events_page(session, owner, subject="nobody@example.com"),
    "Activity, of a part of an address": lambda session, owner: ledger.events_page(session, owner, subject="nobody"),
    "Runs": ledger.runs_page,
    "Runs that failed": lambda session, owner: ledger.runs_page(session, owner, states=["failed"]),
    "one event": _one_event,
    "what has gone quiet": lambda session, owner: ledger.silences(session, owner, datetime.now(UTC)),
}


def _ask(engine: Engine, ask: Callable[[Session, int], Any], merchant_id: int) -> None:
    with reading(engine) as session:
        ask(session, merchant_id)


def _timed(do: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


# ── Retention ────────────────────────────────────────────────────────────────────────────────────────────


def _retention(engine: Engine) -> Iterator[Row]:
    with engine.connect() as connection:
        first, last = (
            connection.execute(text(f"SELECT received_at FROM event ORDER BY id {order} LIMIT 1")).scalar_one()
            for order in ("", "DESC")
        )
    now = first + (last - first) * OLD_SHARE + timedelta(days=KEEP_DAYS)
    parts, begun = 0, time.perf_counter()

    def stop(_seconds: float) -> bool:
        nonlocal parts
        parts += 1
        return parts >= PARTS

    deleted = forget_old(engine, keep_days=KEEP_DAYS, now=now, pause=stop)
    took = time.perf_counter() - begun
    yield Row(
        f"retention, in parts of {EVENTS_AT_ONCE}, without its pauses",
        f"{took / max(deleted, 1) * 1000:.2f} ms an event",
        f"{deleted:,} events in {parts} parts",
    )


# ── Plans ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Scan:
    table: str
    rows: float


@contextmanager
def explained(engine: Engine, whole: set[str], large: int = LARGE) -> Iterator[None]:
    """Notes the statements that PostgreSQL would answer by reading a whole table of so many rows."""

    def look(connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if not many and statement.startswith(("SELECT", "UPDATE", "DELETE")) and "FROM pg_" not in statement:
            with connection.connection.driver_connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
                [(plan,)] = cursor.fetchall()
            for scan in _scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]):
                if scan.rows >= large:
                    whole.add(f"{scan.table}: {' '.join(statement.split())[:300]}")

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", look)


def _scans(plan: dict[str, Any]) -> Iterator[_Scan]:
    if plan["Node Type"].endswith("Seq Scan"):
        yield _Scan(plan["Relation Name"], plan["Plan Rows"])
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)
