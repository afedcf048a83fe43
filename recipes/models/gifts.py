"""The table of what is given still, though the event that gave it is forgotten."""

from datetime import datetime

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from recipes.db import LARGE_NUMBER
from recipes.models.columns import moment


class Gift(SQLModel, table=True):
    """What an order or a subscription gave a buyer by an event that is forgotten, and gives as long as it lives.

    `name` tells one right of one buyer from all others, without saying whose it is (engine/gifts.py); `holder` is what
    gives it, as IdentityMemory calls it. It gave first at `since`, and last at `given_at`, by that event. `paid` is
    what was paid for an order at the least, in major units as text. `connection_id`, 0 for none, outlives its
    connection: no other gets the number.
    """

    # With SQLite's own numbers of rows: without, it would look a holder up by the endpoint alone.
    __table_args__ = (Index("ix_gift_endpoint_id_holder", "endpoint_id", "holder"),)
    endpoint_id: int = Field(foreign_key="endpoint.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True)
    connection_id: int = Field(primary_key=True)
    holder: str = Field(primary_key=True)
    since: datetime = moment()
    given_at: datetime = moment()
    event_id: int = Field(sa_column=Column(LARGE_NUMBER, nullable=False))
    paid: str | None = None
