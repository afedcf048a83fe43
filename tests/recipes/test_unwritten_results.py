"""What came of a call is kept, whatever the database thinks of it: nothing is called again that was done."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from werkzeug.wrappers import Request, Response

from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.mail import Mailer
from recipes.models import RunState
from recipes.settings import Settings
from recipes.vault import Vault
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.integrations.vendor import Vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import eventually

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]

POST = "POST /chat.postMessage"
REFUSED_TEXTS = """CREATE TRIGGER refuse BEFORE INSERT ON attempt WHEN NEW.answer <> '' OR NEW.request <> '{}'
    BEGIN SELECT RAISE(ABORT, 'no texts'); END"""
REFUSED_ENDS = """CREATE TRIGGER refuse BEFORE UPDATE ON run WHEN NEW.state = 'succeeded'
    BEGIN SELECT RAISE(ABORT, 'no ends'); END"""


class Ahead:
    """A time that can be moved on."""

    by = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


@pytest.fixture
def now() -> Ahead:
    """The clock's time."""
    return Ahead()


@pytest.fixture
def clock(engine: Engine, vault: Vault, settings: Settings, slack: Vendor, now: Ahead) -> EmbeddedClock:
    """A clock on the test's database."""
    return EmbeddedClock(engine, settings, ClientCache(vault, {"slack": slack.url + "/"}), Mailer(settings), now=now)


@contextmanager
def _running(clock: EmbeddedClock) -> Iterator[None]:
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    clock.wake()
    try:
        yield
    finally:
        clock.stop()
        thread.join(10)
    assert not thread.is_alive()


def _two_orders(kitchen: Kitchen) -> None:
    """Of one buyer: the second waits on the first one's lane."""
    fields = {"channel": "C0123456789", "text": "Sold {{ order.id }}"}
    kitchen.recipe("order.completed", step("slack", "post_message", kitchen.connect("slack"), **fields))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2))


def _execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def _done(kitchen: Kitchen) -> None:
    eventually(lambda: kitchen.states() == [RunState.SUCCEEDED] * 2, "two runs done", seconds=10)


def test_a_result_whose_texts_are_refused_keeps_its_facts(
    kitchen: Kitchen, engine: Engine, slack: Vendor, clock: EmbeddedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """That it was posted, and when; the lane goes on, and nothing is posted twice or comes into doubt."""
    _two_orders(kitchen)
    _execute(engine, REFUSED_TEXTS)
    with _running(clock):
        _done(kitchen)
    assert len(slack.seen(POST)) == 2
    assert {run.outcome for run in kitchen.runs()} == {"This was done. The details could not be stored."}
    assert [(attempt.result, attempt.request) for attempt in kitchen.attempts()] == [("succeeded", {})] * 2
    assert "no texts" in caplog.text
    assert "Sold order_1" not in caplog.text


def test_a_damaged_table_of_tries_does_not_undo_what_was_done(
    kitchen: Kitchen, engine: Engine, settings: Settings, slack: Vendor, clock: EmbeddedClock
) -> None:
    """A page of the disk that went bad: no try can be recorded, and still each run ends as it ended."""
    _two_orders(kitchen)
    _damage(engine, settings, "ix_attempt_run_id_id")
    with _running(clock):
        _done(kitchen)
    assert len(slack.seen(POST)) == 2


def _damage(engine: Engine, settings: Settings, index: str) -> None:
    with engine.connect() as connection:
        root = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    # The last connection that closes brings the journal into the file.
    engine.dispose()
    with (settings.data_dir / "pocketwire.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


def test_a_run_that_is_gone_holds_up_no_other(
    kitchen: Kitchen, engine: Engine, slack: Vendor, clock: EmbeddedClock
) -> None:
    """It was deleted while its call was under way: there is nothing to write about it any more."""

    def deleting(request: Request) -> Response:
        _execute(engine, "DELETE FROM run WHERE id = 1")
        found = slack.answers[POST]
        assert isinstance(found, Response)
        return found

    slack.script.append(deleting)
    _two_orders(kitchen)
    with _running(clock):
        eventually(lambda: kitchen.states() == [RunState.SUCCEEDED], "the second run's end", seconds=10)
    assert len(slack.seen(POST)) == 2


def test_a_result_that_is_refused_altogether_is_kept_until_it_can_be_written(
    kitchen: Kitchen, engine: Engine, slack: Vendor, clock: EmbeddedClock, now: Ahead, caplog: pytest.LogCaptureFixture
) -> None:
    """Meanwhile its lease is kept, its lane waits, and nothing is called again."""
    _two_orders(kitchen)
    _execute(engine, REFUSED_ENDS)
    with _running(clock):
        for times in (1, 2):
            eventually(lambda times=times: caplog.text.count("it is kept") == times, "a refusal")  # type: ignore[misc]
            now.by += timedelta(hours=1)
            clock.recover_lost()
            assert kitchen.states() == [RunState.RUNNING, RunState.QUEUED]
            if times == 2:
                _execute(engine, "DROP TRIGGER refuse")
            clock.try_unwritten()
        _done(kitchen)
    assert len(slack.seen(POST)) == 2
    assert [attempt.result for attempt in kitchen.attempts()] == ["succeeded"] * 2


def test_a_result_that_is_refused_to_the_end_does_not_keep_the_engine_from_stopping(
    kitchen: Kitchen, engine: Engine, clock: EmbeddedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The next engine puts the run in doubt."""
    _two_orders(kitchen)
    _execute(engine, REFUSED_ENDS)
    with _running(clock):
        eventually(lambda: "it is kept" in caplog.text, "a refusal")
    assert kitchen.states() == [RunState.RUNNING, RunState.QUEUED]
