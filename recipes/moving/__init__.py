"""Moves an installation from SQLite to PostgreSQL: copied, checked row by row, then switched over.

It can end at any moment and goes on when it is run again. Until the last step nothing is served from PostgreSQL, and
SQLite's file stays as it is.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, Table, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, SQLModel, col

from recipes import jobs
from recipes.db import open_database, transaction
from recipes.migrations import Schema, schema_of
from recipes.models import DUE_STATES, Run, among
from recipes.moved import Mark, mark_beside, read_mark, write_mark
from recipes.moving.checking import Findings, check_table
from recipes.moving.copying import BATCH_ROWS, copy_table
from recipes.moving.journal import Journal
from recipes.moving.target import (
    CannotMove,
    check_no_worker,
    journal_in,
    make_ready,
    open_target,
    refuse_rows,
    shown,
)
from recipes.spool import Spool
from recipes.storing import bring_in

__all__ = ["CannotMove", "DiffersError", "Move", "shown"]

# Between two lines about one table.
TELL_SECONDS = 10.0


class DiffersError(Exception):
    """The check found rows that are not the same in both databases. The text names them."""


@dataclass
class Move:
    """One go at it. say: is told lines for the terminal; the service must not be running meanwhile."""

    database: str
    to: str
    spool: Spool
    now: Callable[[], datetime]
    say: Callable[[str], None]
    monotonic: Callable[[], float] = time.monotonic
    batch_rows: int = BATCH_ROWS

    def run(self) -> None:
        """Begins or goes on, to the end. Raises CannotMove (a Refusal), DiffersError, or OperationalError if PostgreSQL
        goes away: the next go continues."""
        target = open_target(self.to)
        source = open_database(self.database)
        try:
            self._check_source(source)
            if read_mark(mark_beside(source)) is None:
                self._bring_in(source)
            # Nobody else writes from here on, not even a command, nor begins another move. Nothing is written here
            # either.
            with source.connect().execution_options(writes=True) as connection, connection.begin():
                journal = self._begin(source, target)
                # A worker that began meanwhile has shown itself by now, or finds the journal and ends.
                check_no_worker(target)
                self._copy(connection, target, journal)
                self._check(connection, target, journal)
                self._switch_over(source, target, journal, _last_numbers(connection))
        finally:
            source.dispose()
            target.dispose()

    # ── Beginning ────────────────────────────────────────────────────────────────────────────────────────

    def _check_source(self, source: Engine) -> None:
        # Only looked at if it is there: opening it would make it.
        there = Path(str(source.url.database)).is_file()
        schema = schema_of(source) if there else Schema.EMPTY
        if schema is Schema.EMPTY:
            raise CannotMove(f"There is nothing to move: {source.url.database} holds no installation.")
        if schema is Schema.OTHER and read_mark(mark_beside(source)) is None:
            raise CannotMove("The SQLite database is of another version: run pocketwire migrate first.")

    def _begin(self, source: Engine, target: Engine) -> Journal:
        """The journal of this move, found or made."""
        path = mark_beside(source)
        mark, journal = read_mark(path), journal_in(target)
        goes_on = mark is not None and journal is not None and journal.move() == mark.number
        # Once all is there only the last step may be missing, and only there: a copy of that database has the same
        # journal.
        if mark and mark.finished_at and not (goes_on and mark.to == shown(self.to)):
            raise CannotMove(
                f"This installation was moved to {mark.to} already: set DATABASE_URL to it. (Should it not be served "
                f"because the move is not finished: run pocketwire move with that address.) To move it anew, without "
                f"what came since, delete {path}."
            )
        if (mark and schema_of(source) is Schema.OTHER) or (goes_on and schema_of(target) is not Schema.CURRENT):
            raise CannotMove(
                "Pocketwire is not of the version that began this move: go on with that one. Or begin anew: delete "
                f"{path}, run pocketwire migrate, then pocketwire move with a new, empty database."
            )
        if journal and goes_on:
            self.say(f"Going on with the move to {shown(self.to)}.")
            return journal
        make_ready(target)
        # A number of its own each time: what was begun elsewhere before is never gone on with.
        mark = Mark(uuid.uuid4().hex, shown(self.to), self.now().isoformat())
        # First the mark: from here on SQLite is not served.
        write_mark(path, mark)
        journal = Journal(target)
        journal.begin(mark.number, SQLModel.metadata.sorted_tables)
        # A service that began meanwhile has made its first-run link by now, or finds the journal and ends.
        refuse_rows(target)
        self.say(f"Moving to {mark.to}.")
        return journal

    def _bring_in(self, source: Engine) -> None:
        """What waits in the spool comes into SQLite first, as it would have at the next start."""
        try:
            count = bring_in(source, self.spool)
        except (SQLAlchemyError, OSError) as error:
            raise CannotMove(
                f"The deliveries in the spool cannot be brought in ({type(error).__name__}): start pocketwire serve "
                "once, and see what it says."
            ) from None
        if count:
            self.say(f"{count:,} deliveries came in from the spool.")

    # ── On the way ───────────────────────────────────────────────────────────────────────────────────────

    def _copy(self, source: Connection, target: Engine, journal: Journal) -> None:
        for table in SQLModel.metadata.sorted_tables:
            count = source.execute(select(func.count()).select_from(table)).scalar_one()
            copy_table(
                source, target, journal, table, self._telling(table, "copied", count), batch_rows=self.batch_rows
            )
            self.say(f"  {table.name:<18} {count:>12,} copied")

    def _check(self, source: Connection, target: Engine, journal: Journal) -> None:
        self.say("Checking row by row.")
        differences: list[str] = []
        for table in SQLModel.metadata.sorted_tables:
            stand = journal.stand(table)
            if stand.checked:
                continue
            findings = check_table(source, target, table, self._telling(table, "checked", stand.rows))
            self._tell_of_nul(findings)
            if findings.differing:
                differences += findings.differences
                if (more := findings.differing - len(findings.differences)) > 0:
                    differences.append(f"and {more:,} more of {table.name}")
                self.say(f"  {table.name:<18} {findings.differing:>12,} are not the same")
            else:
                journal.note_checked(table)
                self.say(f"  {table.name:<18} {findings.same:>12,} are the same")
        if differences:
            raise DiffersError("\n".join(differences))

    def _telling(self, table: Table, done: str, count: int) -> Callable[[int], None]:
        told = self.monotonic()

        def tell(rows: int) -> None:
            nonlocal told
            if self.monotonic() - told >= TELL_SECONDS:
                told = self.monotonic()
                self.say(f"  {table.name:<18} {rows:>12,} of {count:,} {done}")

        return tell

    def _tell_of_nul(self, findings: Findings) -> None:
        for each in findings.without_nul:
            self.say(f"  {each}: had a character NUL, which PostgreSQL cannot store; it was left out")

    # ── Switching over ───────────────────────────────────────────────────────────────────────────────────

    def _switch_over(self, source: Engine, target: Engine, journal: Journal, last_numbers: dict[str, int]) -> None:
        path = mark_beside(source)
        mark = read_mark(path)
        if mark is None:
            raise CannotMove(f"{path} was deleted meanwhile: nothing was switched over, SQLite stays in use.")
        if mark.number != journal.move():
            raise CannotMove(f"A move to {mark.to} was begun meanwhile: nothing was switched over to {shown(self.to)}.")
        # Should it end between these two, neither is served, and the next go does the second.
        write_mark(path, replace(mark, to=shown(self.to), finished_at=self.now().isoformat()))
        with transaction(target) as session:
            _continue_numbers(session, last_numbers)
            _put_in_jobs(session, self.now())
            journal.end(session.connection())


def _last_numbers(source: Connection) -> dict[str, int]:
    """The last number that each table gave, also to a row that is gone: it must not be given again."""
    given = {name: int(seq) for name, seq in source.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")}
    return {
        table.name: max(given.get(table.name, 0), source.execute(select(func.max(column))).scalar_one() or 0)
        for table, column in _numbered()
    }


def _numbered() -> Sequence[tuple[Table, Column[int]]]:
    tables = SQLModel.metadata.sorted_tables
    return [(table, table.autoincrement_column) for table in tables if table.autoincrement_column is not None]


def _continue_numbers(session: Session, last_numbers: dict[str, int]) -> None:
    statement = text(
        "SELECT setval(found, greatest(:last, 1), :last > 0)"
        " FROM (SELECT CAST(pg_get_serial_sequence(:name, :column) AS regclass) AS found) AS sequence"
        " WHERE found IS NOT NULL"
    )
    for table, column in _numbered():
        name = session.connection().dialect.identifier_preparer.format_table(table)
        session.execute(statement, {"last": last_numbers[table.name], "name": name, "column": column.name})


def _put_in_jobs(session: Session, now: datetime) -> None:
    """On SQLite the engine looks by itself; here somebody has to be told of what waits, and of what is due later."""
    jobs.look_soon(session)
    later = select(col(Run.due_at)).where(among(col(Run.state), DUE_STATES), col(Run.due_at) > now).distinct()
    jobs.look_later(session, session.execute(later).scalars())
