"""The tables: columns and constraints, no input or output.

Rows are checked with plain models at the edge; what must hold whatever the code does is a constraint here.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    TextClause,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlmodel import Field, SQLModel

from recipes.db import LARGE_NUMBER, UTCDateTime

# One naming rule, so that migrations can name a constraint on every database.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Mode(StrEnum):
    """Which of a store's two sides an endpoint belongs to."""

    LIVE = "live"
    TEST = "test"


class RunsOn(StrEnum):
    """Which events a recipe takes."""

    LIVE = "live"
    TEST = "test"
    BOTH = "both"


class Origin(StrEnum):
    """How an event came to us."""

    WEBHOOK = "webhook"
    RECONCILED = "reconciled"
    SAMPLE = "sample"  # sent by us, to try recipes out: it runs, and counts for nothing


class Standing(StrEnum):
    """Whether an event can run recipes, and if not, why."""

    READY = "ready"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    SUSPICIOUS = "suspicious"


class ConnectionState(StrEnum):
    """A paused connection holds its runs until it is reconnected."""

    ACTIVE = "active"
    PAUSED = "paused"


class RunState(StrEnum):
    """Where a run is. queued, running, waiting and held are open; the rest are ends, unsure awaits a word."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    UNSURE = "unsure"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATES = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD)
DUE_STATES = (RunState.QUEUED, RunState.WAITING)
TROUBLED_STATES = (RunState.UNSURE, RunState.FAILED)


def among(state: Any, states: Sequence[RunState]) -> ColumnElement[bool]:
    """The condition that a run's state is one of OPEN_STATES, DUE_STATES or TROUBLED_STATES, for their indexes.

    SQLite uses a partial index only where its own condition stands in the statement, word for word and in that
    order; values that are bound later do not count.
    """
    condition: ColumnElement[bool] = state.in_([literal_column(f"'{each}'") for each in states])
    return condition


class Kept(StrEnum):
    """What becomes of the events that came while a recipe was off."""

    OFFERED = "offered"  # while it is off, and then until the merchant's word
    RUNNING = "running"  # the engine makes runs of them
    DONE = "done"
    LEFT = "left"


class AttemptResult(StrEnum):
    """How one try ended."""

    SUCCEEDED = "succeeded"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    UNAUTHORIZED = "unauthorized"
    UNSURE = "unsure"
    INTERRUPTED = "interrupted"


def _among(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _time(nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UTCDateTime, nullable=nullable))


def _large_id() -> Any:
    return Field(default=None, sa_column=Column(LARGE_NUMBER, primary_key=True))


def _to(target: str, index: bool = True, nullable: bool = False) -> Any:
    # Without a type of its own the column takes that of what it refers to.
    return Field(default=None, sa_column=Column(ForeignKey(target, ondelete="CASCADE"), nullable=nullable, index=index))


# ── People ───────────────────────────────────────────────────────────────────────────────────────────────


class Merchant(SQLModel, table=True):
    """One store and all that belongs to it. While it is suspended its events are kept and nothing runs."""

    __table_args__ = (
        Index(
            "ix_merchant_suspended",
            "id",
            sqlite_where=text("suspended_at IS NOT NULL"),
            postgresql_where=text("suspended_at IS NOT NULL"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    name: str
    time_zone: str = "UTC"
    created_at: datetime = _time()
    suspended_at: datetime | None = _time(nullable=True)


class Account(SQLModel, table=True):
    """A person who signs in. `fs_uniquifier` ends every session of theirs when it changes."""

    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)
    password: str
    active: bool = True
    fs_uniquifier: str = Field(unique=True)
    created_at: datetime = _time()


class Membership(SQLModel, table=True):
    """A person's belonging to a merchant."""

    account_id: int = Field(foreign_key="account.id", primary_key=True, ondelete="CASCADE")
    merchant_id: int = Field(foreign_key="merchant.id", primary_key=True, ondelete="CASCADE")


class FirstRun(SQLModel, table=True):
    """The link that makes the first account; there is at most one."""

    __tablename__ = "first_run"
    id: int = Field(default=1, primary_key=True)
    token_hash: str
    created_at: datetime = _time()


# ── What comes in ────────────────────────────────────────────────────────────────────────────────────────


class Endpoint(SQLModel, table=True):
    """The address and Pocketsflow's signing secret under which one side of a store delivers.

    Without a secret it takes nothing but our own samples.
    """

    __table_args__ = (UniqueConstraint("merchant_id", "mode"), _among("mode", Mode))
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = _to("merchant.id", index=False)
    mode: str = Mode.LIVE
    token: str = Field(unique=True)
    secret: bytes | None = None
    previous_secret: bytes | None = None
    previous_until: datetime | None = _time(nullable=True)
    created_at: datetime = _time()


class RejectedDelivery(SQLModel, table=True):
    """How often an endpoint refused a delivery, or took an odd one, for one reason. Never holds a body."""

    __tablename__ = "rejected_delivery"
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    reason: str = Field(primary_key=True)
    count: int
    first_at: datetime = _time()
    last_at: datetime = _time()


class Event(SQLModel, table=True):
    """One accepted delivery, or one found by reconciling; the body is kept as it came.

    `type` is the canonical name, `subject` whom it concerns (lower-case e-mail, else an id),
    `standing_reason` a sentence for any standing but ready. `occurred_at` orders events of one buyer.
    """

    __table_args__ = (
        _among("mode", Mode),
        _among("origin", Origin),
        _among("standing", Standing),
        Index("ix_event_merchant_id_id", "merchant_id", "id"),
        Index("ix_event_merchant_id_type_id", "merchant_id", "type", "id"),
        Index("ix_event_endpoint_id_received_at", "endpoint_id", "received_at"),
        Index("ix_event_endpoint_id_subject_id", "endpoint_id", "subject", "id"),
        Index(
            "ix_event_to_fan_out",
            "id",
            "merchant_id",  # so that a suspended store's are passed over without being read
            sqlite_where=text("fanned_out_at IS NULL"),
            postgresql_where=text("fanned_out_at IS NULL"),
        ),
        Index(
            "ix_event_suspicious",
            "merchant_id",
            "id",
            sqlite_where=text("standing = 'suspicious'"),
            postgresql_where=text("standing = 'suspicious'"),
        ),
        Index(
            "ix_event_sample",
            "merchant_id",
            "received_at",
            sqlite_where=text("origin = 'sample'"),
            postgresql_where=text("origin = 'sample'"),
        ),
        {"sqlite_autoincrement": True},
    )
    id: int | None = _large_id()
    merchant_id: int = _to("merchant.id", index=False)
    endpoint_id: int = _to("endpoint.id", index=False)
    mode: str
    type: str
    origin: str = Origin.WEBHOOK
    standing: str = Standing.READY
    standing_reason: str = ""
    subject: str | None = None
    occurred_at: datetime = _time()
    received_at: datetime = _time()
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    fanned_out_at: datetime | None = _time(nullable=True)

    @property
    def is_test(self) -> bool:
        """Whether it tells of nothing that happened: of a store's test side, or a sample of ours."""
        return self.mode == Mode.TEST or self.origin == Origin.SAMPLE


class IdentityKey(SQLModel, table=True):
    """A key that says "this happened already". After `until` it may be claimed anew; without, never."""

    __tablename__ = "identity_key"
    __table_args__ = (
        Index("ix_identity_key_event_id", "event_id"),
        {"sqlite_with_rowid": False},
    )
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(primary_key=True)
    event_id: int = _to("event.id", index=False)
    until: datetime | None = _time(nullable=True)


class IdentityMemory(SQLModel, table=True):
    """What identity keys need to know of earlier events: a subscription's last state, an order's refunds."""

    __tablename__ = "identity_memory"
    __table_args__ = ({"sqlite_with_rowid": False},)
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    about: str = Field(primary_key=True)
    memory: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


# ── What is done about it ────────────────────────────────────────────────────────────────────────────────


class Connection(SQLModel, table=True):
    """A merchant's credentials for one integration. `revision` grows with every reconnection.

    `account` is what the service calls itself ("Acme Ltd"), `paused_reason` a sentence for the merchant.
    """

    __table_args__ = (
        UniqueConstraint("merchant_id", "app", "name"),
        _among("state", ConnectionState),
        # Recipes' versions, seals and kept clients name a connection by its number: it never comes back.
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = _to("merchant.id", index=False)
    app: str
    name: str
    credentials: bytes = b""
    revision: int = 1
    state: str = ConnectionState.ACTIVE
    paused_reason: str = ""
    paused_at: datetime | None = _time(nullable=True)
    account: str = ""
    checked_at: datetime | None = _time(nullable=True)
    created_at: datetime = _time()


class ConnectionPace(SQLModel, table=True):
    """How much a connection's service was asked lately, where several machines have to keep to one limit.

    `calls` are the times of the last minute's calls, in seconds since 1970; until `rests_until` it is left alone.
    """

    __tablename__ = "connection_pace"
    connection_id: int = Field(foreign_key="connection.id", primary_key=True, ondelete="CASCADE")
    calls: list[float] = Field(sa_column=Column(JSON, nullable=False))
    rests_until: datetime | None = _time(nullable=True)


class Recipe(SQLModel, table=True):
    """What a merchant has on the shelf. `name` is unique to the merchant; `version` is the one in use.

    A deleted one (`deleted_at`) is off for good and on no shelf. Its row stays as long as there are runs of it.
    """

    __table_args__ = (
        UniqueConstraint("merchant_id", "name"),
        _among("runs_on", RunsOn),
        CheckConstraint("deleted_at IS NULL OR NOT enabled", name="deleted"),
        Index("ix_recipe_merchant_id_event_type", "merchant_id", "event_type"),
    )
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = _to("merchant.id", index=False)
    name: str
    title: str
    prebuilt: str | None = None
    event_type: str
    runs_on: str = RunsOn.LIVE
    enabled: bool = False
    enabled_at: datetime | None = _time(nullable=True)
    version: int = 1
    created_at: datetime = _time()
    deleted_at: datetime | None = _time(nullable=True)


class OffPeriod(SQLModel, table=True):
    """A time during which a recipe was off: what came from `since` on and before `until`; None while it lasts.

    Its events are stored with the others. `next_event_id` is the first that is still to be looked at, once they are
    to be run; of those before it `made` got a run, and `left_out` did not as they had been undone. `decided_at`: when
    the merchant chose.
    """

    __tablename__ = "off_period"
    __table_args__ = (
        _among("kept", Kept),
        Index("ix_off_period_recipe_id_since", "recipe_id", "since"),
        Index(
            "ix_off_period_running",
            "id",
            sqlite_where=text("kept = 'running'"),
            postgresql_where=text("kept = 'running'"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    recipe_id: int = _to("recipe.id", index=False)
    since: datetime = _time()
    until: datetime | None = _time(nullable=True)
    kept: str = Kept.OFFERED
    next_event_id: int = Field(default=0, sa_column=Column(LARGE_NUMBER, nullable=False))
    made: int = 0
    left_out: int = 0
    decided_at: datetime | None = _time(nullable=True)


class RecipeVersion(SQLModel, table=True):
    """A recipe's definition as it was saved; runs keep the version that they began with."""

    __tablename__ = "recipe_version"
    __table_args__ = (UniqueConstraint("recipe_id", "version"),)
    id: int | None = Field(default=None, primary_key=True)
    recipe_id: int = _to("recipe.id", index=False)
    version: int
    definition: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = _time()
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
    created_at: datetime = _time()


def _one_of(states: Sequence[RunState]) -> TextClause:
    return text(f"state IN ({', '.join(repr(str(each)) for each in states)})")


_OPEN, _DUE, _TROUBLED = _one_of(OPEN_STATES), _one_of(DUE_STATES), _one_of(TROUBLED_STATES)


class Run(SQLModel, table=True):
    """One recipe for one event. Unique (event, recipe) but for repeats asked for by the merchant (`again` > 0).

    `lane` is what must happen one after another (engine/lanes.py), `order_at` with `event_id` the place in it. `step`
    counts from 0, `attempt` tries of the present step. `lease` names the engine that has the run, until `lease_until`.
    `doubt`: an earlier try may have happened, so the service is asked before the next. `outcome` is a sentence.
    """

    __table_args__ = (
        UniqueConstraint("event_id", "recipe_id", "again"),
        _among("state", RunState),
        Index("ix_run_merchant_id_id", "merchant_id", "id"),
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
        Index("ix_run_open", "state", "connection_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        {"sqlite_autoincrement": True},
    )  # fmt: skip
    id: int | None = _large_id()
    merchant_id: int = _to("merchant.id", index=False)
    event_id: int = _to("event.id", index=False)
    recipe_id: int = _to("recipe.id", index=False)
    version_id: int = _to("recipe_version.id", index=False)
    again: int = 0
    connection_id: int | None = Field(
        default=None, sa_column=Column(ForeignKey("connection.id", ondelete="SET NULL"), nullable=True)
    )
    lane: str
    order_at: datetime = _time()
    state: str = RunState.QUEUED
    step: int = 0
    attempt: int = 0
    doubt: bool = False
    due_at: datetime = _time()
    lease: str | None = None
    lease_until: datetime | None = _time(nullable=True)
    outcome: str = ""
    created_at: datetime = _time()
    finished_at: datetime | None = _time(nullable=True)


class LetThrough(SQLModel, table=True):
    """The word of a merchant that a run goes on whatever was undone. `run_id` None: all of the event's."""

    __tablename__ = "let_through"
    __table_args__ = (UniqueConstraint("event_id", "run_id"),)
    id: int | None = Field(default=None, primary_key=True)
    event_id: int = _to("event.id", index=False)
    run_id: int | None = _to("run.id", nullable=True)
    created_at: datetime = _time()


class Attempt(SQLModel, table=True):
    """One try of one step of a run. `request` holds the rendered fields, `answer` a redacted excerpt."""

    __table_args__ = (_among("result", AttemptResult), Index("ix_attempt_run_id_id", "run_id", "id"))
    id: int | None = _large_id()
    run_id: int = _to("run.id", index=False)
    step: int
    number: int
    started_at: datetime = _time()
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
    id: int | None = _large_id()
    merchant_id: int = _to("merchant.id", index=False)
    table: str
    key: str
    columns: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = _time()
    updated_at: datetime = _time()
    is_test: bool = False


class Notice(SQLModel, table=True):
    """What a merchant need not be told again: it was told by mail, or they leave it as it is."""

    __table_args__ = (UniqueConstraint("merchant_id", "about"),)
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = _to("merchant.id", index=False)
    about: str
    created_at: datetime = _time()
