"""Writes a new migration: `python -m recipes.migrations.make "what changes"`, then read it and mend it.

Compares the tables in recipes/models/ with those that the migrations so far make.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic import command
from sqlmodel import AutoString, SQLModel

from recipes import models  # noqa: F401 - its tables are what is compared
from recipes.db import UTCDateTime, open_database
from recipes.migrations import migrate
from recipes.migrations.upgrading import configuration


def make(message: str) -> Path:
    """The file of the new migration, numbered after the last."""
    config = configuration()
    number = 1 + len(list((Path(__file__).parent / "versions").glob("[0-9]*.py")))
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/empty.db")
        migrate(engine)
        with engine.connect() as connection:
            config.attributes.update(connection=connection, metadata=SQLModel.metadata, render_item=_plainly)
            script: Any = command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")
        engine.dispose()
    return Path(script.path)


def _plainly(kind: str, item: Any, _context: Any) -> Any:
    """Our own column types as SQLAlchemy's: a migration imports nothing of ours, which will have changed by then."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()"
    return False


if __name__ == "__main__":
    sys.stdout.write(f"{make(' '.join(sys.argv[1:]))}\n")
