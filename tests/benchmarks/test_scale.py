"""What `pocketwire bench scale` measures on is a PostgreSQL like a used one, and it sees plans that go wrong."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from benchmarks import scale
from benchmarks.scale_filling import fill
from benchmarks.servers import database
from recipes.db import open_database, reading
from tests.postgresql import PostgreSQL

MERCHANTS, EVENTS = 100, 2_000


@pytest.fixture
def filled(postgresql: PostgreSQL) -> Iterator[Engine]:
    """A small one."""
    with postgresql.empty_database() as url:
        engine = open_database(url)
        fill(engine, EVENTS, print, merchants=MERCHANTS)
        yield engine
        engine.dispose()


def test_what_is_filled_in_is_whole(filled: Engine) -> None:
    """Each event has its run, its try and its keys, all of one merchant; few have much, and all refer to what is there.

    They are put in with the constraints switched off.
    """
    with filled.connect() as connection:
        owners = connection.execute(
            text(
                "SELECT event.merchant_id FROM event JOIN run ON run.event_id = event.id"
                " JOIN attempt ON attempt.run_id = run.id JOIN recipe ON recipe.id = run.recipe_id"
                " JOIN connection ON connection.id = run.connection_id"
                " JOIN recipe_version ON recipe_version.id = run.version_id"
                " WHERE event.merchant_id = ALL (ARRAY[run.merchant_id, recipe.merchant_id, connection.merchant_id])"
                " AND (SELECT count(*) FROM identity_key WHERE event_id = event.id"
                " AND endpoint_id = event.endpoint_id) = 2"
            )
        )
        counted = Counter(owners.scalars())
    assert counted.total() == EVENTS
    assert set(counted) <= set(range(1, MERCHANTS + 1))
    assert counted.most_common(1)[0] == (1, counted[1])
    assert counted[1] > EVENTS / 10


def test_every_figure_is_found(filled: Engine) -> None:
    """Batches go through, retention deletes; a ratio stands beside each time."""
    side = scale.Filled(filled, MERCHANTS)
    rows = list(scale.compare(side, side, EVENTS, times=1))
    found = {row.what for row in rows}
    assert {"accept a batch of 64", "claim 64 runs", "Home, the busiest store", "Runs, a usual store"} <= found
    assert all(row.ratio for row in rows if "stored:" in row.against)
    (retention,) = [row for row in rows if row.what.startswith("retention")]
    assert int(retention.against.partition(" ")[0]) >= EVENTS / 6 - 1
    assert rows[-1].figure == "none"


def test_a_statement_that_reads_a_whole_table_is_seen(filled: Engine) -> None:
    """Where the table is large; not, where an index leads to the row."""
    seen: set[str] = set()
    with scale.explained(filled, seen, EVENTS // 2), reading(filled) as session:
        session.execute(text("SELECT 1 FROM event WHERE id = 7"))
        assert seen == set()
        session.execute(text("SELECT 1 FROM event WHERE body <> ''"))
    assert [each.partition(":")[0] for each in seen] == ["event"]


def test_databases_are_removed(postgresql: PostgreSQL) -> None:
    """From an operator's server, too."""
    with postgresql.database() as url:
        with database(url) as engine:
            name = engine.url.database
        around = open_database(url)
        with around.connect() as connection:
            there = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
        around.dispose()
    assert name not in there
