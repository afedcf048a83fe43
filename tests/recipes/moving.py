"""A SQLite installation with one of everything, for tests that move it to PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, text
from sqlmodel import SQLModel

from recipes.db import open_database, transaction
from recipes.migrations import migrate
from recipes.models import (
    Account,
    Connection,
    ConnectionPace,
    FirstRun,
    Gift,
    IdentityMemory,
    LedgerRow,
    LetThrough,
    Membership,
    Notice,
    OffPeriod,
    RejectedDelivery,
    UnsavedForm,
)
from recipes.settings import Settings
from tests.conftest import NOW
from tests.postgresql import PostgreSQL
from tests.recipes.engine.kitchen import Kitchen, order, step

GONE = "the connection that was removed last"


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """SQLite as the migrations make it."""
    engine = open_database(settings.database)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    with postgresql.empty_database() as url:
        yield url


@pytest.fixture
def target(url: str) -> Iterator[Engine]:
    """The same, opened."""
    engine = open_database(url)
    yield engine
    engine.dispose()


def furnish(kitchen: Kitchen) -> None:
    """Rows in every table; the last connection was removed."""
    channel = {"channel": "C0123456789", "text": "{{ order.id }}"}
    slack = kitchen.connect("slack")
    kitchen.recipe("order.completed", step("slack", "post_message", slack, **channel))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("customer.subscription.created", {"customer": {"email": "zoë@example.com"}, "id": "sub_1"})
    assert kitchen.attempts()
    removed = kitchen.connect("mailchimp")
    (run,) = kitchen.runs()
    endpoint_id, merchant_id = kitchen.endpoint.id or 0, kitchen.endpoint.merchant_id
    later = NOW + timedelta(microseconds=1)
    account = Account(email="ada@example.com", password="hash", active=False, fs_uniquifier="u", created_at=NOW)
    rows: list[Any] = [
        account,
        FirstRun(token_hash="hash", created_at=NOW),
        RejectedDelivery(endpoint_id=endpoint_id, reason="signature", count=3, first_at=NOW, last_at=later),
        ConnectionPace(connection_id=slack, calls=[1784894400.25, 1784894401.0], rests_until=later),
        OffPeriod(recipe_id=1, since=NOW, until=later, next_event_id=2**40, decided_at=None),
        LetThrough(event_id=run.event_id, run_id=run.id, created_at=NOW),
        LetThrough(event_id=run.event_id, run_id=None, created_at=NOW),
        Notice(merchant_id=merchant_id, about="nothing", created_at=NOW),
    ]
    for key in ("b", "B", "ä", "a", "Z", "_"):  # that languages sort in another order than bytes
        columns = {"z": key, "a": "half \ud83d and zero \0", "long": "😀" * 50}
        rows.append(
            LedgerRow(
                merchant_id=merchant_id, table="Orders", key=key, columns=columns, created_at=NOW, updated_at=later
            )
        )
        gift: dict[str, Any] = {
            "name": key,
            "connection_id": removed,
            "holder": f"refunds:{key}",
            "event_id": 2**40,
            "paid": "0.50",
        }
        rows.append(Gift(endpoint_id=endpoint_id, since=NOW, given_at=later, **gift))
        rows.append(IdentityMemory(endpoint_id=endpoint_id, about=key, memory={"n": 2**60, "x": [True, None, 1.5]}))
    with transaction(kitchen.engine) as session:
        session.add_all(rows)
        session.flush()
        session.add(Membership(account_id=account.id or 0, merchant_id=merchant_id))
        entered = [["b", "1"], ["a", "2"]]
        session.add(
            UnsavedForm(
                account_id=account.id or 0, merchant_id=merchant_id, recipe="7", entered=entered, created_at=NOW
            )
        )
        session.execute(delete(Connection).where(Connection.id == removed))  # type: ignore[arg-type]


def contents(engine: Engine) -> dict[str, list[Any]]:
    """All rows of all tables, as Python has them."""
    found = {}
    with engine.connect() as connection:
        for table in SQLModel.metadata.sorted_tables:
            rows = [tuple(row) for row in connection.execute(table.select())]
            found[table.name] = sorted(rows, key=repr)
    return found


def numbers(engine: Engine, table: str) -> int:
    """The next number that PostgreSQL gives in a table."""
    with engine.connect() as connection:
        return int(
            connection.execute(
                text("SELECT nextval(pg_get_serial_sequence(:table, 'id'))"), {"table": table}
            ).scalar_one()
        )
