"""How connections to PostgreSQL are set up: one machine that is gone stops no other."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text
from sqlmodel import Session, select

from recipes import jobs, ledger
from recipes.db import UNAVAILABLE, Lock, one_at_a_time, open_database, reading, transaction, whichever_is_free
from recipes.models import Endpoint, Merchant
from recipes.settings import Settings
from tests.conftest import NOW

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


@pytest.mark.parametrize(
    "go_on",
    [lambda session: session.execute(text("SELECT 1")), jobs.look_soon, lambda session: None],
    ids=["asks", "defers", "commits"],
)
def test_who_stands_still_in_a_transaction_stops_nobody_for_long(
    engine: Engine, settings: Settings, go_on: Callable[[Session], object]
) -> None:
    """A machine that froze or vanished there: its locks are let go. Should it wake, what it was at is undone and told
    as a database that was away; its next transaction is as good as any.
    """
    frozen = open_database(settings.database, idle_seconds=0.2)
    was_stopped = True

    def stand_still() -> None:
        nonlocal was_stopped
        with transaction(frozen) as session:
            assert whichever_is_free(session, Lock.FAN_OUT)
            session.add(Merchant(name="Acme", created_at=NOW))
            session.flush()
            with transaction(engine) as other:
                one_at_a_time(other, Lock.FAN_OUT)
            was_stopped = False
            go_on(session)

    with pytest.raises(UNAVAILABLE):
        stand_still()
    assert not was_stopped
    with transaction(frozen) as session:
        assert session.exec(select(Merchant)).all() == []
    frozen.dispose()


def test_a_table_may_be_read_slowly(engine: Engine, endpoint: Endpoint) -> None:
    """A download takes as long as its reader does; nobody waits for its transaction."""
    limit = text("SHOW idle_in_transaction_session_timeout")
    with reading(engine) as session:
        assert session.execute(limit).scalar() == "30s"
        lines = ledger.table_csv(session, endpoint.merchant_id, "sales")
        assert next(lines).startswith("\ufeffKey")
        assert session.execute(limit).scalar() == "0"
    with reading(engine) as session:
        assert session.execute(limit).scalar() == "30s"


def test_both_ends_give_up_a_connection_whose_other_end_is_gone(engine: Engine) -> None:
    """In 25 seconds, not in hours."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        given = driver.info.get_parameters()
    for name, seconds in (("keepalives_idle", 10), ("keepalives_interval", 5), ("keepalives_count", 3)):
        assert given[name] == str(seconds)
        assert f"-c tcp_{name}={seconds}" in given["options"]


def test_a_servers_own_isolation_level_is_not_taken_over(settings: Settings) -> None:
    """Who waited for a lock has to see what the other wrote; who reads a page, one moment."""
    address = make_url(settings.database).update_query_dict(
        {"options": r"-c default_transaction_isolation=repeatable\ read"}
    )
    engine = open_database(address.render_as_string(hide_password=False))
    level = text("SELECT current_setting('transaction_isolation'), current_setting('default_transaction_isolation')")
    with transaction(engine) as session:
        assert session.execute(level).one() == ("read committed", "repeatable read")
    with reading(engine) as session:
        assert session.execute(level).one()[0] == "repeatable read"
    with transaction(engine) as session:
        assert session.execute(level).one()[0] == "read committed"
    engine.dispose()
