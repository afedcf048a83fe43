"""Many rows in one statement, in the words of each database."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Result,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    func,
    insert,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.sqlite import pysqlite

from recipes.db import is_postgresql


def rows_with_pairs(
    connection: Connection,
    columns: tuple[Column[int], Column[str]],
    wanted: Sequence[tuple[int, str]],
    more: Column[Any],
) -> Result[Any]:
    """The rows whose two columns are one of the wanted pairs: these columns and one more."""
    if is_postgresql(connection):
        first, second = ([pair[number] for pair in wanted] for number in (0, 1))
        return connection.execute(_among_pairs(*columns, more), {"first": first, "second": second})
    return connection.execute(_joined_with_pairs(*columns, more), {"pairs": json.dumps(wanted)})


@cache
def _among_pairs(first: Column[int], second: Column[str], more: Column[Any]) -> Select[Any]:
    # One statement however many pairs there are, which the server and its driver know already.
    pairs = select(_each("first", first), _each("second", second))
    return select(first, second, more).where(tuple_(first, second).in_(pairs))


def is_one_of(connection: Connection, column: Any, numbers: Collection[int]) -> ColumnElement[bool]:
    """Whether the column's number is among these: in one statement, however many they are.

    PostgreSQL plans that once, which can take longer than to execute it. SQLite would keep one ready for every number
    of numbers, on each connection, and takes no more than 32,766 one by one:
    https://sqlite.org/limits.html#max_variable_number.
    """
    if is_postgresql(connection):
        listed: ColumnElement[bool] = column == any_(bindparam(None, list(numbers), type_=postgresql.ARRAY(BigInteger)))
        return listed
    # In plain words: made of functions and tables, it would take three times as long to put together.
    each = text("SELECT value FROM json_each(:numbers)")
    within: ColumnElement[bool] = column.in_(
        each.bindparams(bindparam("numbers", json.dumps(list(numbers)), unique=True))
    )
    return within


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that all have the same columns, quickly: none of a model's defaults is filled in."""
    if not rows:
        return
    columns = tuple(rows[0])
    if is_postgresql(connection):
        values = {name: [row[name] for row in rows] for name in columns}
        connection.execute(_insert_arrays(table, columns), values)
    else:
        statement, makers = _insert_values(table, columns)
        made = ([make(row[name]) for row in rows] for name, make in zip(columns, makers, strict=True))
        # Past SQLAlchemy, which takes as long for each row as SQLite does.
        connection.exec_driver_sql(statement, list(zip(*made, strict=True)))


@cache
def _insert_values(table: Table, columns: tuple[str, ...]) -> tuple[str, list[Callable[[Any], Any]]]:
    """SQLite's statement, and for each column what makes of a value what its driver takes."""
    dialect = pysqlite.dialect()
    quote = dialect.identifier_preparer.quote
    names, places = ", ".join(map(quote, columns)), ", ".join("?" * len(columns))
    makers = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in columns]
    statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({places})"  # noqa: S608 - our own names
    return statement, [make or _as_it_is for make in makers]


def _as_it_is(value: Any) -> Any:
    return value


@cache
def _insert_arrays(table: Table, columns: tuple[str, ...]) -> Insert:
    # Row by row, PostgreSQL and its driver would take several times as long.
    return insert(table).from_select(columns, select(*(_each(name, table.c[name]) for name in columns)))


def _each(name: str, column: Column[Any]) -> ColumnElement[Any]:
    return func.unnest(bindparam(name, type_=postgresql.ARRAY(column.type))).label(name)


@cache
def _joined_with_pairs(first: Column[int], second: Column[str], more: Column[Any]) -> Select[Any]:
    # SQLite looks pairs up in an index where they are joined; for `(a, b) IN (…)` it reads the whole table.
    pair = func.json_each(bindparam("pairs")).table_valued("value", name="wanted").c.value
    matches = and_(first == func.json_extract(pair, "$[0]"), second == func.json_extract(pair, "$[1]"))
    return select(first, second, more).join(pair.table, matches)
