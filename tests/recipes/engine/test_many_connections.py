"""Very many connections on SQLite, which takes so many values in a statement and no more."""

import sqlite3

from sqlalchemy import Engine, insert, select
from sqlmodel import SQLModel

from recipes.db import transaction
from tests.recipes.engine.kitchen import Kitchen, order, step

LIMIT = 12_000  # usual is 32,766, which takes longer to fill
OF_ITS_OWN = {"connection": ("id", "name"), "run": ("id", "connection_id", "again", "lane")}


def test_more_connections_than_it_takes_values_have_something_to_do(kitchen: Kitchen, engine: Engine) -> None:
    """As after an outage of everything: the engine begins with some of them, and does not fail for ever."""
    columns = {"A": "1"}
    connection = kitchen.connect("ledger")
    kitchen.recipe("order.completed", step("ledger", "put_row", connection, table="T", key="k", columns=columns))
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(limit=0)
    with transaction(engine) as session:
        for name, own in OF_ITS_OWN.items():
            table = SQLModel.metadata.tables[name]
            row = session.execute(select(table)).mappings().one()
            copies = [{**row, **dict.fromkeys(own, number)} for number in range(2, LIMIT + 3)]
            session.connection().execute(insert(table), copies)
    with engine.connect() as checked_out:
        opened = checked_out.connection.driver_connection
        assert isinstance(opened, sqlite3.Connection)
        opened.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, LIMIT)
    assert len(kitchen.claim(limit=3)) == 3
