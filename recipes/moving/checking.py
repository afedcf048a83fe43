"""Compares a table row by row in both databases, in the order of the keys."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from sqlalchemy import Connection, Engine, Table

from recipes.db import reading
from recipes.moving.carrying import carried, comparable, has_text_key, key_reader, named, rows_of

EVERY = 5_000
# So many are named; of the rest, how many there are.
NAMED = 20


@dataclass
class Findings:
    """What the check of a table found: how many rows are the same, which differ, which lost a character NUL."""

    same: int = 0
    differing: int = 0
    differences: list[str] = field(default_factory=list)
    without_nul: list[str] = field(default_factory=list)

    def add(self, difference: str) -> None:
        """One more row that is not the same."""
        self.differing += 1
        if len(self.differences) < NAMED:
            self.differences.append(difference)


def check_table(source: Connection, target: Engine, table: Table, tell: Callable[[int], None]) -> Findings:
    """Compares every row. Values are never told: they may be secret. tell: is told how many rows were looked at."""
    findings = Findings()
    with reading(target) as session:
        theirs = _Side(table, rows_of(session.connection(), table))
        ours = _Side(table, _in_their_order(table, rows_of(source, table)))
        carry, compare = carried(table), comparable(table)
        while ours.row is not None or theirs.row is not None:
            if theirs.row is None or (ours.row is not None and ours.key < theirs.key):
                findings.add(f"{named(table, ours.key)} is missing in PostgreSQL")
                ours.go_on()
                continue
            if ours.row is None or theirs.key < ours.key:
                findings.add(f"{named(table, theirs.key)} is only in PostgreSQL")
                theirs.go_on()
                continue
            taken = carry(ours.row)
            if taken != tuple(ours.row):
                findings.without_nul.append(f"{named(table, ours.key)} ({_differing(table, ours.row, taken)})")
            mine, other = compare(taken), compare(theirs.row)
            if mine == other:
                findings.same += 1
            else:
                findings.add(f"{named(table, ours.key)} differs in {_differing(table, mine, other)}")
            if (findings.same + findings.differing) % EVERY == 0:
                tell(findings.same + findings.differing)
            ours.go_on()
            theirs.go_on()
    return findings


def _in_their_order(table: Table, rows: Iterator[Any]) -> Iterator[Any]:
    """SQLite's rows in PostgreSQL's order: a key that loses a character NUL comes later there."""
    if not has_text_key(table):
        yield from rows
        return
    carry, key = carried(table), key_reader(table)
    later: list[tuple[tuple[Any, ...], int, Any]] = []
    for number, row in enumerate(rows):
        while later and later[0][0] < key(row):
            yield heappop(later)[2]
        if (theirs := key(carry(row))) == key(row):
            yield row
        else:
            heappush(later, (theirs, number, row))
    while later:
        yield heappop(later)[2]


class _Side:
    """The present row of one database, None behind the last, and its key as PostgreSQL has it."""

    def __init__(self, table: Table, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._carry, self._key = carried(table), key_reader(table)
        self.go_on()

    def go_on(self) -> None:
        self.row: Sequence[Any] | None = next(self._rows, None)
        self.key: tuple[Any, ...] = () if self.row is None else self._key(self._carry(self.row))


def _differing(table: Table, one: Sequence[Any], other: Sequence[Any]) -> str:
    names = [column.name for column in table.columns]
    return ", ".join(name for name, mine, theirs in zip(names, one, other, strict=True) if mine != theirs)
