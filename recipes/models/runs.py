"""The tables of what is done, and of what came of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from recipes.models.columns import among_words, large_id, moment, one_of, reference
from recipes.models.words import (
    DELAYED_STATES,
    DUE_STATES,
    OPEN_STATES,
    TROUBLED_STATES,
    AttemptResult,
    RunState,
)

_OPEN, _DUE, _TROUBLED = one_of(OPEN_STATES), one_of(DUE_STATES), one_of(TROUBLED_STATES)
_DELAYED = one_of(DELAYED_STATES)


class Run(SQLModel, table=True):
    """One recipe for one event. Unique (event, recipe) but for repeats asked for by the merchant (`again` > 0).

    `lane` is what must happen one after another (engine/lanes.py), `order_at` with `event_id` the place in it. `step`
    counts from 0, `attempt` tries of the present step. `due_at`: when it may go; while it is delayed, when its wait is
    over. `lease` names the engine that has the run, until `lease_until`. `doubt`: an earlier try may have happened, so
    the service is asked before the next. `outcome` is a sentence.
    """

    __table_args__ = (
        UniqueConstraint("event_id", "recipe_id", "again"),
        among_words("state", RunState),
        Index("ix_run_merchant_id_id", "merchant_id", "id"),
        Index("ix_run_merchant_id_event_id_state", "merchant_id", "event_id", "state"),  # to count a store's week by
        Index("ix_run_recipe_id_id", "recipe_id", "id"),
        Index("ix_run_lane_open", "lane", "order_at", "event_id", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index(
            "ix_run_due", "connection_id", "order_at", "event_id", "id", "due_at",
            sqlite_where=_DUE, postgresql_where=_DUE,
        ),
        Index(
            "ix_run_troubled", "merchant_id", "state", "recipe_id", "id",
            sqlite_where=_TROUBLED, postgresql_where=_TROUBLED,
        ),
        Index(
            "ix_run_delayed", "due_at", "id", "merchant_id", "connection_id", "recipe_id",
            sqlite_where=_DELAYED, postgresql_where=_DELAYED,
        ),
        Index("ix_run_open", "state", "connection_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        {"sqlite_autoincrement": True},
    )  # fmt: skip
    id: int | None = large_id()
    merchant_id: int = reference("merchant.id", index=False)
    event_id: int = reference("event.id", index=False)
    recipe_id: int = reference("recipe.id", index=False)
    version_id: int = reference("recipe_version.id", index=False)
    again: int = 0
    connection_id: int | None = Field(
        default=None, sa_column=Column(ForeignKey("connection.id", ondelete="SET NULL"), nullable=True)
    )
    lane: str
    order_at: datetime = moment()
    state: str = RunState.QUEUED
    step: int = 0
    attempt: int = 0
    doubt: bool = False
    due_at: datetime = moment()
    lease: str | None = None
    lease_until: datetime | None = moment(nullable=True)
    outcome: str = ""
    created_at: datetime = moment()
    finished_at: datetime | None = moment(nullable=True)


class LetThrough(SQLModel, table=True):
    """The word of a merchant that a run goes on whatever was undone. `run_id` None: all of the event's."""

    __tablename__ = "let_through"
    __table_args__ = (UniqueConstraint("event_id", "run_id"),)
    id: int | None = Field(default=None, primary_key=True)
    event_id: int = reference("event.id", index=False)
    run_id: int | None = reference("run.id", nullable=True)
    created_at: datetime = moment()


class Attempt(SQLModel, table=True):
    """One try of one step of a run. `request` holds the rendered fields, `answer` a redacted excerpt."""

    __table_args__ = (among_words("result", AttemptResult), Index("ix_attempt_run_id_id", "run_id", "id"))
    id: int | None = large_id()
    run_id: int = reference("run.id", index=False)
    step: int
    number: int
    started_at: datetime = moment()
    milliseconds: int
    result: str
    outcome: str
    request: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    status: int | None = None
    answer: str = ""


class LedgerRow(SQLModel, table=True):
    """A row that the Ledger integration wrote into one of a merchant's own tables. is_test: only for test events."""

    __tablename__ = "ledger_row"
    __table_args__ = (
        UniqueConstraint("merchant_id", "table", "key"),
        Index("ix_ledger_row_merchant_id_table_id", "merchant_id", "table", "id"),
    )
    id: int | None = large_id()
    merchant_id: int = reference("merchant.id", index=False)
    table: str
    key: str
    columns: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = moment()
    updated_at: datetime = moment()
    is_test: bool = False
