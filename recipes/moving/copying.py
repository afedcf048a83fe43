"""Copies a table in batches. Each is in one transaction with the note of how far that is, so it can end anywhere."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import OperationalError

from recipes.moving.carrying import carried, key_reader, named, rows_of
from recipes.moving.journal import Journal
from recipes.moving.target import CannotMove

BATCH_ROWS = 2_000
BATCH_BYTES = 8_000_000

_MEND = "Nothing was switched over: mend that row in SQLite, or delete it there, then run pocketwire move again."

Rows = Sequence[tuple[Any, ...]]


def copy_table(
    source: Connection, target: Engine, journal: Journal, table: Table, tell: Callable[[int], None], *, batch_rows: int
) -> None:
    """Copies what is not there yet. tell: is told how many rows are.

    Raises CannotMove for a row that PostgreSQL does not take, OperationalError if it goes away.
    """
    stand = journal.stand(table)
    if stand.copied:
        return
    rows, write = stand.rows, Writer(target, table)
    for batch, last_key in _batches(source, table, stand.last_key, batch_rows):
        try:
            with target.begin() as connection:
                write(connection, batch)
                rows += len(batch)
                journal.note(connection, table, rows, last_key)
        except write.refused as error:
            raise CannotMove(f"PostgreSQL does not take {write.first_refused(batch, error)}. {_MEND}") from None
        tell(rows)
    journal.note_copied(table)


def _batches(
    source: Connection, table: Table, after: Sequence[Any] | None, most: int
) -> Iterator[tuple[Rows, Sequence[Any]]]:
    """Each with its last key as SQLite has it, by which the next go finds what is behind it."""
    carry, key = carried(table), key_reader(table)
    batch: list[tuple[Any, ...]] = []
    last_key: Sequence[Any] = ()
    size = 0
    for row in rows_of(source, table, after):
        batch.append(carry(row))
        last_key = key(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if len(batch) == most or size >= BATCH_BYTES:
            yield batch, last_key
            batch, size = [], 0
    if batch:
        yield batch, last_key


class Writer:
    """Puts rows into a table by COPY, many times quicker than INSERT."""

    def __init__(self, target: Engine, table: Table) -> None:
        dialect = target.dialect
        quoted = dialect.identifier_preparer
        columns = ", ".join(quoted.format_column(column) for column in table.columns)
        self._statement = f"COPY {quoted.format_table(table)} ({columns}) FROM STDIN"
        self._processors = [
            column.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is for column in table.columns
        ]
        self._target = target
        self._table = table
        driver: Any = dialect.loaded_dbapi
        self._error = driver.Error
        # What is wrong with a row; not, that the database is away.
        self.refused: tuple[type[Exception], ...] = (driver.DataError, driver.IntegrityError)

    def __call__(self, connection: Connection, rows: Rows) -> None:
        """Raises one of `refused` if a row is not taken, OperationalError if the database is away."""
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(self._statement) as copy:
                for row in rows:
                    copy.write_row([process(value) for process, value in zip(self._processors, row, strict=True)])
        except self.refused:
            raise
        except self._error as error:
            raise OperationalError("COPY", None, error) from error

    def first_refused(self, rows: Rows, error: Exception) -> str:
        """The first of the rows that is not taken by itself, and why; error: what they met together."""
        for row in rows:
            # What is tried here is never committed.
            with self._target.connect() as connection:
                try:
                    self(connection, [row])
                except self.refused as own:
                    return f"the row {named(self._table, key_reader(self._table)(row))}: {_reason(own)}"
        return f"one of the rows from {named(self._table, key_reader(self._table)(rows[0]))} on: {_reason(error)}"


def _reason(error: Exception) -> str:
    return str(getattr(getattr(error, "diag", None), "message_primary", None) or type(error).__name__)


def _as_it_is(value: Any) -> Any:
    return value
