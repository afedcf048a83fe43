"""How columns are declared: times, numbers that grow with every event, references, lists of words."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, TextClause, text
from sqlmodel import Field, SQLModel

from recipes.db import LARGE_NUMBER, UTCDateTime
from recipes.models.words import RunState

# One naming rule, so that migrations can name a constraint on every database.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def among_words(column: str, words: type[StrEnum]) -> CheckConstraint:
    """The constraint that a column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def moment(nullable: bool = False) -> Any:
    """A column of aware times, kept in UTC."""
    return Field(default=None, sa_column=Column(UTCDateTime, nullable=nullable))


def large_id() -> Any:
    """A primary key that grows with every event."""
    return Field(default=None, sa_column=Column(LARGE_NUMBER, primary_key=True))


def reference(target: str, index: bool = True, nullable: bool = False) -> Any:
    """A column that refers to "table.column"; what it refers to takes the row along when it is deleted."""
    # Without a type of its own the column takes that of what it refers to.
    return Field(default=None, sa_column=Column(ForeignKey(target, ondelete="CASCADE"), nullable=nullable, index=index))


def one_of(states: Sequence[RunState]) -> TextClause:
    """The condition of a partial index of runs, word for word as `among` puts it into statements."""
    return text(f"state IN ({', '.join(repr(str(each)) for each in states)})")
