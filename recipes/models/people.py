"""The tables of people and the stores they belong to."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from recipes.models.columns import moment, reference


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
    created_at: datetime = moment()
    suspended_at: datetime | None = moment(nullable=True)


class Account(SQLModel, table=True):
    """A person who signs in. `fs_uniquifier` ends every session of theirs when it changes."""

    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)
    password: str
    active: bool = True
    fs_uniquifier: str = Field(unique=True)
    created_at: datetime = moment()


class Membership(SQLModel, table=True):
    """A person's belonging to a merchant."""

    account_id: int = Field(foreign_key="account.id", primary_key=True, ondelete="CASCADE")
    merchant_id: int = Field(foreign_key="merchant.id", primary_key=True, ondelete="CASCADE")


class FirstRun(SQLModel, table=True):
    """The link that makes the first account; there is at most one."""

    __tablename__ = "first_run"
    id: int = Field(default=1, primary_key=True)
    token_hash: str
    created_at: datetime = moment()


class Notice(SQLModel, table=True):
    """What a merchant need not be told again: it was told by mail, or they leave it as it is."""

    __table_args__ = (UniqueConstraint("merchant_id", "about"),)
    id: int | None = Field(default=None, primary_key=True)
    merchant_id: int = reference("merchant.id", index=False)
    about: str
    created_at: datetime = moment()
