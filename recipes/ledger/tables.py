"""The tables that the Ledger integration keeps for a merchant: rows to look at, and the whole as CSV."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from recipes.db import let_stand_idle
from recipes.ledger.pages import page_size
from recipes.models import LedgerRow

KEY_HEADING = "Key"
TEST_HEADING = "Test event"
_BATCH = 1_000
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@dataclass(frozen=True)
class TableLine:
    """A table in a list."""

    name: str
    rows: int
    updated_at: datetime


@dataclass(frozen=True)
class TableRow:
    """One row; `cells` are in the order of the table's columns, "" where the row has none.

    is_test: only test events have written it.
    """

    id: int
    key: str
    cells: Sequence[str]
    updated_at: datetime
    is_test: bool = False


@dataclass(frozen=True)
class Table:
    """Some rows of a table, the newest first, and the id to ask the next ones with."""

    name: str
    columns: Sequence[str]
    rows: Sequence[TableRow]
    next_before_id: int | None


def tables(session: Session, merchant_id: int) -> list[TableLine]:
    """A merchant's tables, by name."""
    found = (
        select(LedgerRow.table, func.count(), func.max(LedgerRow.updated_at))
        .where(LedgerRow.merchant_id == merchant_id)
        .group_by(LedgerRow.table)
        .order_by(LedgerRow.table)
    )
    return [TableLine(name, count, updated_at) for name, count, updated_at in session.exec(found)]


def table(session: Session, merchant_id: int, name: str, before_id: int | None = None, limit: int = 50) -> Table | None:
    """Some rows of a merchant's table, the newest first; None if there is no such table."""
    limit = page_size(limit)
    mine = select(LedgerRow).where(LedgerRow.merchant_id == merchant_id, LedgerRow.table == name)
    found = mine.order_by(col(LedgerRow.id).desc()).limit(limit + 1)
    if before_id is not None:
        found = found.where(col(LedgerRow.id) < before_id)
    rows = list(session.exec(found))
    if not rows and before_id is None:
        return None
    columns = _columns(session, merchant_id, name)
    shown = [
        TableRow(row.id or 0, row.key, [row.columns.get(column, "") for column in columns], row.updated_at, row.is_test)
        for row in rows[:limit]
    ]
    return Table(name, columns, shown, shown[-1].id if len(rows) > limit else None)


def table_row(session: Session, merchant_id: int, name: str, row_id: int) -> TableRow | None:
    """One row of a merchant's table, its cells in the order of its own columns; None if there is no such row."""
    row = _find(session, merchant_id, name, row_id)
    return TableRow(row_id, row.key, list(row.columns.values()), row.updated_at, row.is_test) if row else None


def delete_row(session: Session, merchant_id: int, name: str, row_id: int) -> bool:
    """Takes a row out of a merchant's table for good; False if there is no such row."""
    row = _find(session, merchant_id, name, row_id)
    if row is None:
        return False
    session.delete(row)
    session.flush()
    return True


def delete_key(session: Session, merchant_id: int, name: str, key: str) -> bool:
    """The same, by the row's key."""
    mine = LedgerRow.merchant_id == merchant_id, LedgerRow.table == name
    row_id = session.exec(select(LedgerRow.id).where(LedgerRow.key == key, *mine)).first()
    return row_id is not None and delete_row(session, merchant_id, name, row_id)


def _find(session: Session, merchant_id: int, name: str, row_id: int) -> LedgerRow | None:
    mine = LedgerRow.merchant_id == merchant_id, LedgerRow.table == name
    return session.exec(select(LedgerRow).where(LedgerRow.id == row_id, *mine)).first()


def table_csv(session: Session, merchant_id: int, name: str) -> Iterator[str]:
    """A merchant's table as CSV, line by line, the oldest row first; only the heading if it has no rows.

    Begins with a byte order mark, by which spreadsheet programs tell UTF-8. Text that one would take for a formula
    gets an apostrophe in front: it was written by buyers. A last column says which rows only test events wrote, if
    there are any.
    """
    let_stand_idle(session)  # a slow download, or a pager at which somebody reads
    columns = _columns(session, merchant_id, name)
    has_tests = _has_tests(session, merchant_id, name)
    yield "\ufeff" + _csv_line([KEY_HEADING, *columns, *([TEST_HEADING] if has_tests else [])])
    for row in _rows(session, merchant_id, name):
        marked = ["test" if row.is_test else ""] if has_tests else []
        yield _csv_line([row.key, *(row.columns.get(column, "") for column in columns), *marked])


def _has_tests(session: Session, merchant_id: int, name: str) -> bool:
    mine = select(LedgerRow.id).where(LedgerRow.merchant_id == merchant_id, LedgerRow.table == name)
    return session.exec(mine.where(col(LedgerRow.is_test)).limit(1)).first() is not None


def _columns(session: Session, merchant_id: int, name: str) -> list[str]:
    """Every column that a row has, in the order in which they first came up."""
    seen: dict[str, None] = {}
    for row in _rows(session, merchant_id, name):
        seen.update(dict.fromkeys(row.columns))
    return list(seen)


def _rows(session: Session, merchant_id: int, name: str) -> Iterator[LedgerRow]:
    """All rows in batches: a table may be large, and no connection should be held for one that is read slowly."""
    after = 0
    while True:
        found = (
            select(LedgerRow)
            .where(LedgerRow.merchant_id == merchant_id, LedgerRow.table == name, col(LedgerRow.id) > after)
            .order_by(col(LedgerRow.id))
            .limit(_BATCH)
        )
        rows = list(session.exec(found))
        yield from rows
        if len(rows) < _BATCH:
            return
        after = rows[-1].id or 0


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: str) -> str:
    if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _NUMBER.fullmatch(cell):
        return "'" + cell
    return cell
