"""The tables of connections, and of recipes as merchants have them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from recipes.db import LARGE_NUMBER
from recipes.models.columns import among_words, moment, reference
from recipes.models.words import (
    ConnectionState,
    Kept,
    RunsOn,
)


class Connection(SQLModel, table=True):
    """A merchant's credentials for one integration. `revision` grows with every reconnection.

    `account` is what the service calls itself ("Acme Ltd"), `paused_reason` a sentence for the merchant.
    """

    __table_args__ = (
        UniqueConstraint("merchant_id", "app", "name"),
        among_words("state", ConnectionState),
        # Recipes' versions, seals and kept clients name a connection by its number: it never comes back.
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = reference("merchant.id", index=False)
    app: str
    name: str
    credentials: bytes = b""
    revision: int = 1
    state: str = ConnectionState.ACTIVE
    paused_reason: str = ""
    paused_at: datetime | None = moment(nullable=True)
    account: str = ""
    checked_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()


class ConnectionPace(SQLModel, table=True):
    """How much a connection's service was asked lately, where several machines have to keep to one limit.

    `calls` are the times of the last minute's calls, in seconds since 1970; until `rests_until` it is left alone.
    """

    __tablename__ = "connection_pace"
    connection_id: int = Field(foreign_key="connection.id", primary_key=True, ondelete="CASCADE")
    calls: list[float] = Field(sa_column=Column(JSON, nullable=False))
    rests_until: datetime | None = moment(nullable=True)


class Recipe(SQLModel, table=True):
    """What a merchant has on the shelf. `name` is unique to the merchant; `version` is the one in use.

    A deleted one (`deleted_at`) is off for good and on no shelf. Its row stays as long as there are runs of it.
    """

    __table_args__ = (
        UniqueConstraint("merchant_id", "name"),
        among_words("runs_on", RunsOn),
        CheckConstraint("deleted_at IS NULL OR NOT enabled", name="deleted"),
        Index("ix_recipe_merchant_id_event_type", "merchant_id", "event_type"),
    )
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = reference("merchant.id", index=False)
    name: str
    title: str
    prebuilt: str | None = None
    event_type: str
    runs_on: str = RunsOn.LIVE
    enabled: bool = False
    enabled_at: datetime | None = moment(nullable=True)
    version: int = 1
    created_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)


class OffPeriod(SQLModel, table=True):
    """A time during which a recipe was off: what came from `since` on and before `until`; None while it lasts.

    Its events are stored with the others. `next_event_id` is the first that is still to be looked at, once they are
    to be run; of those before it `made` got a run, and `left_out` did not as they had been undone. `decided_at`: when
    the merchant chose.
    """

    __tablename__ = "off_period"
    __table_args__ = (
        among_words("kept", Kept),
        Index("ix_off_period_recipe_id_since", "recipe_id", "since"),
        Index(
            "ix_off_period_running",
            "id",
            sqlite_where=text("kept = 'running'"),
            postgresql_where=text("kept = 'running'"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    recipe_id: int = reference("recipe.id", index=False)
    since: datetime = moment()
    until: datetime | None = moment(nullable=True)
    kept: str = Kept.OFFERED
    next_event_id: int = Field(default=0, sa_column=Column(LARGE_NUMBER, nullable=False))
    made: int = 0
    left_out: int = 0
    decided_at: datetime | None = moment(nullable=True)


class RecipeVersion(SQLModel, table=True):
    """A recipe's definition as it was saved; runs keep the version that they began with."""

    __tablename__ = "recipe_version"
    __table_args__ = (UniqueConstraint("recipe_id", "version"),)
    id: int | None = Field(default=None, primary_key=True)
    recipe_id: int = reference("recipe.id", index=False)
    version: int
    definition: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = moment()
    created_by: str = ""


class UnsavedForm(SQLModel, table=True):
    """What a person entered in a recipe's form and has not saved: names and values, in the form's order.

    `recipe` is the recipe's number, or the name of the shipped one that is being set up, once more after "another ".
    """

    __tablename__ = "unsaved_form"
    account_id: int = Field(foreign_key="account.id", primary_key=True, ondelete="CASCADE")
    merchant_id: int = Field(foreign_key="merchant.id", primary_key=True, ondelete="CASCADE")
    recipe: str = Field(primary_key=True)
    entered: list[list[str]] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = moment()
