"""Rows on their way: read from either database in the order of their keys, and what of them PostgreSQL takes."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import JSON, Column, Connection, Row, String, Table, TypeDecorator, literal, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from recipes.db import is_postgresql

_AT_ONCE = 500


def rows_of(connection: Connection, table: Table, after: Sequence[Any] | None = None) -> Iterator[Row[Any]]:
    """All rows behind that key, in the order of their keys, without keeping them in memory."""
    key = list(table.primary_key.columns)
    statement = select(table).order_by(*(_ordered(column, connection) for column in key))
    if after is not None:
        # Only asked of SQLite, whose order is that of the bytes.
        beyond = tuple_(*key) > tuple_(*(literal(value, column.type) for column, value in zip(key, after, strict=True)))
        statement = statement.where(beyond)
    yield from connection.execution_options(yield_per=_AT_ONCE).execute(statement)


def _ordered(column: Column[Any], connection: Connection) -> ColumnElement[Any]:
    """SQLite sorts texts by their bytes; PostgreSQL by a language, unless it is told to do the same."""
    return column.collate("C") if is_postgresql(connection) and _is_text(column) else column


def _is_text(column: Column[Any]) -> bool:
    kind = column.type
    return isinstance(kind.impl_instance if isinstance(kind, TypeDecorator) else kind, String)


def has_text_key(table: Table) -> bool:
    """Whether there is a text in its key."""
    return any(_is_text(column) for column in table.primary_key.columns)


def key_reader(table: Table) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What takes its key from a row."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in table.primary_key.columns]
    return lambda row: tuple(row[place] for place in places)


def named(table: Table, key: Sequence[Any]) -> str:
    """A row, as a person finds it."""
    return f"{table.name} {', '.join(str(part) for part in key)}"


def carried(table: Table) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What makes of a row what PostgreSQL takes: its texts cannot hold the character NUL, so it is left out."""
    places = [number for number, column in enumerate(table.columns) if _is_text(column)]

    def carry(row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place in places:
            value = values[place]
            if isinstance(value, str) and "\0" in value:
                values[place] = value.replace("\0", "")
        return tuple(values)

    return carry


def comparable(table: Table) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What makes of a row what is compared: JSON as its text, in which 1 is not true and order counts."""
    places = [number for number, column in enumerate(table.columns) if isinstance(column.type, JSON)]

    def compare(row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place in places:
            values[place] = json.dumps(values[place])
        return tuple(values)

    return compare
