"""The tables of what comes in."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from recipes.models.columns import among_words, large_id, moment, reference
from recipes.models.words import (
    Mode,
    Origin,
    Standing,
)


class Endpoint(SQLModel, table=True):
    """The address and Pocketsflow's signing secret under which one side of a store delivers.

    Without a secret it takes nothing but our own samples.
    """

    __table_args__ = (UniqueConstraint("merchant_id", "mode"), among_words("mode", Mode))
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = reference("merchant.id", index=False)
    mode: str = Mode.LIVE
    token: str = Field(unique=True)
    secret: bytes | None = None
    previous_secret: bytes | None = None
    previous_until: datetime | None = moment(nullable=True)
    created_at: datetime = moment()


class RejectedDelivery(SQLModel, table=True):
    """How often an endpoint refused a delivery, or took an odd one, for one reason. Never holds a body."""

    __tablename__ = "rejected_delivery"
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    reason: str = Field(primary_key=True)
    count: int
    first_at: datetime = moment()
    last_at: datetime = moment()


class Event(SQLModel, table=True):
    """One accepted delivery, or one found by reconciling; the body is kept as it came.

    `type` is the canonical name, `subject` whom it concerns (lower-case e-mail, else an id),
    `standing_reason` a sentence for any standing but ready. `occurred_at` orders events of one buyer.
    """

    __table_args__ = (
        among_words("mode", Mode),
        among_words("origin", Origin),
        among_words("standing", Standing),
        Index("ix_event_merchant_id_id", "merchant_id", "id"),
        Index("ix_event_merchant_id_type_id", "merchant_id", "type", "id"),
        Index("ix_event_merchant_id_subject_id", "merchant_id", "subject", "id"),
        # With the id: PostgreSQL would read every event for it.
        Index("ix_event_endpoint_id_received_at_id", "endpoint_id", "received_at", "id"),
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
    id: int | None = large_id()
    merchant_id: int = reference("merchant.id", index=False)
    endpoint_id: int = reference("endpoint.id", index=False)
    mode: str
    type: str
    origin: str = Origin.WEBHOOK
    standing: str = Standing.READY
    standing_reason: str = ""
    subject: str | None = None
    occurred_at: datetime = moment()
    received_at: datetime = moment()
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    fanned_out_at: datetime | None = moment(nullable=True)

    @property
    def is_test(self) -> bool:
        """Whether it tells of nothing that happened: of a store's test side, or a sample of ours."""
        return self.mode == Mode.TEST or self.origin == Origin.SAMPLE


class IdentityKey(SQLModel, table=True):
    """A key that says "this happened already". After `until` it may be claimed anew; without, never."""

    __tablename__ = "identity_key"
    __table_args__ = (
        Index("ix_identity_key_event_id", "event_id"),
        # In the order they lapse, with the key so that it is all in the index.
        Index(
            "ix_identity_key_lapsing",
            "until",
            "endpoint_id",
            "key",
            sqlite_where=text("until IS NOT NULL"),
            postgresql_where=text("until IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(primary_key=True)
    event_id: int = reference("event.id", index=False)
    until: datetime | None = moment(nullable=True)


class IdentityMemory(SQLModel, table=True):
    """What identity keys need to know of earlier events: a subscription's last state, an order's refunds."""

    __tablename__ = "identity_memory"
    __table_args__ = ({"sqlite_with_rowid": False},)
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    about: str = Field(primary_key=True)
    memory: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
