"""Over 200 kills at random moments: nothing lost, nothing doubled, in order. And a verdict that would notice."""

import logging
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from recipes.chaos import Chaos
from recipes.chaos.standin import Call, Fate
from recipes.chaos.verdict import Answers, Report, judge
from recipes.cli import main

logger = logging.getLogger(__name__)

KILLS = 204
LONGEST = 300.0


@pytest.mark.long
def test_nothing_is_lost_or_doubled_by_two_hundred_kills(tmp_path: Path) -> None:
    """Inbox, engine, or both at once, while they accept, fan out, call and settle; CHAOS_SEED repeats the choices."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    logger.warning("CHAOS_SEED=%d", seed)  # shown by a failure, whatever it is
    report = Chaos(tmp_path, seed=seed, kills=KILLS, seconds=LONGEST).run()
    said = f"CHAOS_SEED={seed}\n{report.text()}"
    assert report.is_good, said
    assert report.kills >= KILLS, said
    # It was about something: calls were made and runs were interrupted.
    assert report.stored > KILLS / 4, said
    assert report.runs["succeeded"] > report.stored, said


def test_an_operator_has_the_same_at_hand() -> None:
    """With a report, a seed to give again, and nothing left behind."""
    done = CliRunner().invoke(main, ["chaos", "--kills", "3", "--seed", "7"])
    assert done.exit_code == 0, done.output
    assert "seed           7" in done.stdout
    assert "lost           0" in done.stdout


# ── The verdict ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Seen:
    calls: list[Call] = field(default_factory=list)
    looks: int = 0


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Two orders of one buyer, everything done."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript("""
            CREATE TABLE event (id INTEGER, body TEXT);
            CREATE TABLE run (event_id INTEGER, recipe_id INTEGER, state TEXT, outcome TEXT);
            CREATE TABLE ledger_row ("table" TEXT, key TEXT);
        """)
        for number, order in enumerate(("b1-000001", "b1-000002"), 1):
            made.execute("INSERT INTO event VALUES (?, ?)", (number, f'{{"order": {{"id": "{order}"}}}}'))
            made.executemany(
                "INSERT INTO run VALUES (?, ?, 'succeeded', '')", [(number, recipe) for recipe in range(1, 5)]
            )
            made.executemany("INSERT INTO ledger_row VALUES (?, ?)", [("Posted", order), ("Orders", order)])
        yield made


def _calls() -> list[Call]:
    return [
        Call(app, order, Fate.DONE) for order in ("b1-000001", "b1-000002") for app in ("slack", "discord", "mailchimp")
    ]


def _judge(database: sqlite3.Connection, calls: list[Call]) -> Report:
    answers = Answers()
    for order in ("b1-000001", "b1-000002"):
        answers.add(order, "stored")
    return judge(database, answers, _Seen(calls), kills=1, seconds=1.0)


def test_where_all_is_well_it_says_so(database: sqlite3.Connection) -> None:
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
def test_what_is_missing_in_the_database_is_lost(database: sqlite3.Connection, change: str, said: str) -> None:
    """Each promise by itself."""
    database.execute(change)
    assert said in "\n".join(_judge(database, _calls()).lost)


@pytest.mark.parametrize("app", ["slack", "discord", "mailchimp"])
def test_what_never_arrived_is_lost_though_its_run_says_otherwise(database: sqlite3.Connection, app: str) -> None:
    """The stand-ins' record counts."""
    without = [call for call in _calls() if (call.app, call.order) != (app, "b1-000001")]
    assert "b1-000001" in "\n".join(_judge(database, without).lost)


def test_a_message_told_twice_is_doubled(database: sqlite3.Connection) -> None:
    """Also where its first answer was lost: that it may have been posted was known."""
    calls = [Call("discord", "b1-000001", Fate.ANSWER_LOST), *_calls()]
    assert _judge(database, calls).doubled == ["b1-000001: told to discord 2 times"]


def test_an_event_stored_twice_is_doubled(database: sqlite3.Connection) -> None:
    """Whatever came of it."""
    database.execute("INSERT INTO event SELECT 3, body FROM event WHERE id = 2")
    assert _judge(database, _calls()).doubled == ["b1-000002 is stored 2 times"]


def test_a_call_after_a_later_order_is_out_of_order(database: sqlite3.Connection) -> None:
    """For one buyer in one service; the same once more is not."""
    late = Call("mailchimp", "b1-000001", Fate.DONE)
    report = _judge(database, [*_calls(), late])
    assert report.out_of_order == ["b1-000001 was told to mailchimp after b1-000002"]
