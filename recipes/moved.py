"""Marks of a move from SQLite to PostgreSQL: one installation must never be at work in two databases.

A file beside the SQLite database says that it was moved, or is about to be. In PostgreSQL there is a table as long as
a move into it lasts. Neither is served.
"""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, event, text

from recipes.db import is_postgresql
from recipes.refusal import Refusal

MOVE_TABLE = "pocketwire_move"
SUFFIX = ".moved"


class Moved(Refusal):
    """What is in this database is, or is about to be, in another one. The text is a sentence with what to do."""


@dataclass(frozen=True)
class Mark:
    """A move. number: names it; to: the address it goes to, without its password; times in ISO 8601."""

    number: str
    to: str
    begun_at: str
    finished_at: str = ""


def check_in_use(database: Engine) -> None:
    """Raises Moved if this is the database that was moved away from, or one that is only half moved into."""
    if is_postgresql(database):
        with database.connect() as connection:
            found = connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": MOVE_TABLE})
            if found.scalar_one():
                raise Moved(
                    "A move into this database is not finished: run pocketwire move again, on the machine that has "
                    "the SQLite database."
                )
        return
    path = mark_beside(database)
    mark = read_mark(path)
    if mark is None:
        return
    if mark.finished_at:
        raise Moved(
            f"This installation was moved to {mark.to} on {_day(mark.finished_at)}: set DATABASE_URL to it. "
            f"To go back to SQLite, without what came since, delete {path}."
        )
    raise Moved(
        f"A move to {mark.to} was begun on {_day(mark.begun_at)} and is not finished: run pocketwire move again. "
        f"To stay with SQLite, delete {path}."
    )


def refuse_writes_once_moved(database: Engine) -> None:
    """Has every writing transaction ask again: a command that waits for a password may find it moved by then."""

    def ask(connection: Connection) -> None:
        # SQLite's lock is held by now, and a move holds it from its beginning to its end.
        if connection.get_execution_options().get("writes"):
            check_in_use(database)

    event.listen(database, "begin", ask)


def mark_beside(sqlite: Engine) -> Path:
    """Where a SQLite database's mark is."""
    return Path(f"{sqlite.url.database}{SUFFIX}").absolute()


def read_mark(path: Path) -> Mark | None:
    """The mark; None if there is none. Raises Moved if there is something that cannot be read."""
    try:
        return Mark(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        raise Moved(
            f"{path} says that this database was moved to PostgreSQL, but cannot be read. Set DATABASE_URL to where it "
            "was moved to, or delete that file to stay with SQLite."
        ) from None


def write_mark(path: Path, mark: Mark) -> None:
    """Puts the mark on disk, in place of an earlier one. When this returns it survives a power cut. Raises OSError."""
    handle, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _day(at: str) -> str:
    return f"{datetime.fromisoformat(at):%d %B %Y}"
