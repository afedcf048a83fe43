"""How far a move is, in a table of the target: it is written in the same transactions as what it tells of."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, text

from recipes.moved import MOVE_TABLE

_CREATE = f"""
CREATE TABLE {MOVE_TABLE} (
  move text NOT NULL,
  name text PRIMARY KEY,
  rows bigint NOT NULL DEFAULT 0,
  last_key json,
  copied boolean NOT NULL DEFAULT false,
  checked boolean NOT NULL DEFAULT false
)
"""


class Stand(NamedTuple):
    """How far a table is. last_key: of the last row that was copied, as SQLite has it."""

    rows: int
    last_key: Sequence[Any] | None
    copied: bool
    checked: bool


class Journal:
    """The table, which is there as long as the move lasts."""

    def __init__(self, target: Engine) -> None:
        self._target = target

    def begin(self, move: str, tables: Iterable[Table]) -> None:
        """Makes it, for a move of this name."""
        with self._target.begin() as connection:
            connection.execute(text(_CREATE))
            statement = text(f"INSERT INTO {MOVE_TABLE} (move, name) VALUES (:move, :name)")  # noqa: S608
            connection.execute(statement, [{"move": move, "name": table.name} for table in tables])

    def move(self) -> str:
        """The name of the move that it tells of."""
        with self._target.connect() as connection:
            return str(connection.execute(text(f"SELECT min(move) FROM {MOVE_TABLE}")).scalar_one())  # noqa: S608

    def stand(self, table: Table) -> Stand:
        """How far a table is."""
        columns = ", ".join(Stand._fields)
        statement = text(f"SELECT {columns} FROM {MOVE_TABLE} WHERE name = :name")  # noqa: S608
        with self._target.connect() as connection:
            return Stand(*connection.execute(statement, {"name": table.name}).one())

    def note(self, connection: Connection, table: Table, rows: int, last_key: Sequence[Any]) -> None:
        """So many rows are copied."""
        statement = text(f"UPDATE {MOVE_TABLE} SET rows = :rows, last_key = :key WHERE name = :name")  # noqa: S608
        connection.execute(statement, {"rows": rows, "key": json.dumps(list(last_key)), "name": table.name})

    def note_copied(self, table: Table) -> None:
        """All of a table is copied. The planner is told what is in it: nobody has yet."""
        with self._target.begin() as connection:
            connection.execute(text(f"ANALYZE {connection.dialect.identifier_preparer.format_table(table)}"))
            statement = text(f"UPDATE {MOVE_TABLE} SET copied = true WHERE name = :name")  # noqa: S608
            connection.execute(statement, {"name": table.name})

    def note_checked(self, table: Table) -> None:
        """All of a table is the same in both databases."""
        with self._target.begin() as connection:
            statement = text(f"UPDATE {MOVE_TABLE} SET checked = true WHERE name = :name")  # noqa: S608
            connection.execute(statement, {"name": table.name})

    def end(self, connection: Connection) -> None:
        """The move is over."""
        connection.execute(text(f"DROP TABLE {MOVE_TABLE}"))
