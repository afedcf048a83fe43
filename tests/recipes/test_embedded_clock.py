"""The clock of one machine: a delivery becomes a call, and stopping loses nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import reading, transaction
from recipes.mail import Mailer
from recipes.models import Event, Kept, LedgerRow, OffPeriod, Run, RunState
from recipes.settings import Settings
from recipes.vault import Vault
from tests.conftest import NOW
from tests.integrations.conftest import StartVendor, _no_proxy, start_vendor
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import eventually

__all__ = ["StartVendor", "_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]


class Signs:
    """Hears the signs of life that a clock gives: how many, and from which threads."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self._heard = threading.Semaphore(0)

    def __call__(self) -> None:
        self.threads.add(threading.get_ident())
        self._heard.release()

    def wait_for(self, count: int) -> None:
        """Waits for so many more."""
        for _ in range(count):
            assert self._heard.acquire(timeout=10)


@pytest.fixture
def signs() -> Signs:
    """The clock's signs of life."""
    return Signs()


@pytest.fixture
def clock(engine: Engine, vault: Vault, settings: Settings, slack: Vendor, signs: Signs) -> EmbeddedClock:
    """A clock on the test's database."""
    clients = ClientCache(vault, {"slack": slack.url + "/"})
    return EmbeddedClock(engine, settings, clients, Mailer(settings), alive=signs)


def _run_until(clock: EmbeddedClock, done: threading.Event) -> None:
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    clock.wake()
    assert done.wait(10)
    clock.stop()
    thread.join(10)
    assert not thread.is_alive()


class SlowCall:
    """A message to Slack that has been sent, and whose answer is awaited."""

    def __init__(self, kitchen: Kitchen, slack: Vendor) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

        def slow(request: object) -> object:
            self.begun.set()
            assert self.may_end.wait(10)
            return slack.answers["POST /chat.postMessage"]

        slack.script.append(slow)  # type: ignore[arg-type]
        fields = {"channel": "C0123456789", "text": "Sold"}
        kitchen.recipe("order.completed", step("slack", "post_message", kitchen.connect("slack"), **fields))
        kitchen.deliver("order.completed", order(1))


@pytest.fixture
def slow_call(kitchen: Kitchen, slack: Vendor) -> SlowCall:
    """One that begins with the clock."""
    return SlowCall(kitchen, slack)


def test_a_stopping_engine_settles_what_is_under_way(
    kitchen: Kitchen, clock: EmbeddedClock, signs: Signs, slow_call: SlowCall
) -> None:
    """The call has begun when the signal comes: its answer is still recorded. Meanwhile nobody takes it for hung."""
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    clock.wake()
    assert slow_call.begun.wait(10)
    clock.stop()
    signs.wait_for(3)
    slow_call.may_end.set()
    thread.join(10)
    assert not thread.is_alive()
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_a_stopping_engine_says_at_once_for_what_it_waits(
    clock: EmbeddedClock, signs: Signs, slow_call: SlowCall, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with how many calls and until when: whoever pressed Ctrl-C else sees nothing for half a minute."""
    caplog.set_level("INFO")
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    clock.wake()
    assert slow_call.begun.wait(10)
    before = datetime.now(UTC)
    clock.stop()
    signs.wait_for(3)
    [said] = [record.getMessage() for record in caplog.records if "stopping" in record.getMessage()]
    slow_call.may_end.set()
    thread.join(10)
    assert said.startswith("stopping: 1 call under way may finish first, until ")
    until = [f"{(before + timedelta(seconds=seconds)).astimezone():%X}" for seconds in range(20, 32)]
    assert any(f"until {each} at the latest" in said for each in until)


def test_the_sign_of_life_comes_from_the_thread_that_dispatches(clock: EmbeddedClock, signs: Signs) -> None:
    """Every second, though there is nothing to do; any other thread would go on while this one hangs."""
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    signs.wait_for(2)
    clock.stop()
    thread.join(10)
    assert signs.threads == {thread.ident}


@pytest.mark.parametrize("failure", [ValueError("a defect"), OperationalError("…", None, Exception("a full disk"))])
def test_the_sign_of_work_comes_only_with_a_turn_that_succeeded(
    engine: Engine, settings: Settings, kitchen: Kitchen, vault: Vault, failure: Exception
) -> None:
    """While all turns fail, whyever, the engine is alive, and not at work; with the first that succeeds it is."""
    alive, works = Signs(), Signs()
    clock = EmbeddedClock(engine, settings, ClientCache(vault, {}), Mailer(settings), alive=alive, works=works)
    take_turn, may_succeed = clock.turn, threading.Event()

    def turn() -> int:
        if not may_succeed.is_set():
            clock.wake()
            raise failure
        return take_turn()

    clock.turn = turn  # type: ignore[method-assign]
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    alive.wait_for(3)
    assert not works.threads
    may_succeed.set()
    works.wait_for(1)
    clock.stop()
    thread.join(10)


def test_a_jump_of_the_clock_takes_no_run_away(
    engine: Engine, settings: Settings, vault: Vault, slack: Vendor, kitchen: Kitchen, slow_call: SlowCall
) -> None:
    """A machine that slept for an hour: every lease has ended, but the call is under way, and its answer counts."""
    ahead = timedelta(0)
    clients = ClientCache(vault, {"slack": slack.url + "/"})
    clock = EmbeddedClock(engine, settings, clients, Mailer(settings), now=lambda: datetime.now(UTC) + ahead)
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    clock.wake()
    assert slow_call.begun.wait(10)
    ahead = timedelta(hours=1)
    clock.recover_lost()
    assert kitchen.states() == [RunState.RUNNING]
    clock.stop()
    slow_call.may_end.set()
    thread.join(10)
    assert [attempt.result for attempt in kitchen.attempts()] == ["succeeded"]


def test_many_events_become_rows_each_once(kitchen: Kitchen, clock: EmbeddedClock, engine: Engine) -> None:
    """Turns follow one another until nothing is due."""
    kitchen.recipe(
        "order.completed",
        step("ledger", "put_row", kitchen.connect("ledger"), table="Orders", key="{{ order.id }}", columns={"A": "x"}),
    )
    for number in range(60):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    done = threading.Event()
    settled = clock.turn

    def watched() -> int:
        started = settled()
        with reading(engine) as session:
            if len(session.exec(select(Run).where(Run.state == RunState.SUCCEEDED)).all()) == 60:
                done.set()
        return started

    clock.turn = watched  # type: ignore[method-assign]
    _run_until(clock, done)
    with reading(engine) as session:
        rows = session.exec(select(LedgerRow)).all()
    assert len(rows) == 60
    assert json.dumps(rows[0].columns) == '{"A": "x"}'


def test_slow_calls_make_room_for_quick_ones(
    engine: Engine, settings: Settings, vault: Vault, slack: Vendor, kitchen: Kitchen
) -> None:
    """Services that hang keep threads, each for its 30 s, but not the turns of those that are well."""
    moment = 0.0
    few = settings.model_copy(update={"engine_threads": 2})
    clients = ClientCache(vault, {"slack": slack.url + "/"})
    clock = EmbeddedClock(engine, few, clients, Mailer(settings), monotonic=lambda: moment)
    slack.answers["POST /chat.postMessage"] = slack.hang
    fields = {"channel": "C0123456789", "text": "Sold"}
    for _ in range(4):
        kitchen.recipe("order.completed", step("slack", "post_message", kitchen.connect("slack"), **fields))
    kitchen.deliver("order.completed", order(1))
    started = []
    for _ in range(6):
        started.append(clock.turn())
        moment += 0.6
    # Two at once; two more when those are slow, and so on.
    assert started == [2, 0, 2, 0, 0, 0]
    # Half of all places is the most for one merchant's calls: here of 16, and Slack takes 4 a connection.
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    for _ in range(6):
        started.append(clock.turn())
        moment += 1.1
    assert sum(started) == 8
    slack.close()
    clock.stop()
    clock.turn()


@contextmanager
def _without_new_threads() -> Iterator[None]:
    """No thread can be started, as when a container has all the processes that it may have."""
    before = threading.stack_size(1 << 47)  # more than there are addresses
    try:
        yield
    finally:
        threading.stack_size(before)


def test_what_no_thread_can_be_started_for_goes_back_to_the_queue(
    kitchen: Kitchen, clock: EmbeddedClock, slack: Vendor, slow_call: SlowCall
) -> None:
    """No try was made, so none counts and nothing is in doubt; each is done once as soon as there is a thread."""
    slow_call.may_end.set()
    for number in range(2, 5):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    with _without_new_threads():
        assert clock.turn() == 0
        assert clock.turn() == 0
        assert kitchen.states() == [RunState.QUEUED] * 4
        assert {(run.attempt, run.doubt, run.lease) for run in kitchen.runs()} == {(0, False, None)}
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    eventually(lambda: kitchen.states() == [RunState.SUCCEEDED] * 4, "four runs")
    clock.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert len(slack.calls) == 4
    assert {run.attempt for run in kitchen.runs()} == {1}


def test_an_engine_that_can_start_no_thread_goes_on_with_those_it_has(
    kitchen: Kitchen, clock: EmbeddedClock, slack: Vendor, slow_call: SlowCall
) -> None:
    """And ends when it is told to, with what was not begun left for the next."""
    assert clock.turn() == 1
    assert slow_call.begun.wait(10)
    with _without_new_threads():
        for number in range(2, 4):
            kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
        assert clock.turn() == 0
        clock.stop()
        slow_call.may_end.set()
        eventually(lambda: clock.turn() == 0 and RunState.RUNNING not in kitchen.states(), "the end of what was begun")
    clock.run()
    assert sorted(kitchen.states()) == [RunState.QUEUED] * 2 + [RunState.SUCCEEDED]
    assert len(slack.calls) == 1


def test_a_clock_that_is_set_back_keeps_no_run_waiting(
    engine: Engine, settings: Settings, vault: Vault, kitchen: Kitchen, mailchimp: Vendor
) -> None:
    """A retry comes after its five seconds, not when the old time comes again; and so does all that recurs."""
    time_of_day = NOW
    mailchimp.script.append(answer({}, 500))
    fields = {"audience": "a1", "email": "{{ buyer.email }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", kitchen.connect("mailchimp"), **fields))
    kitchen.deliver("order.completed", order(1))
    clients = ClientCache(vault, {"mailchimp": mailchimp.url})
    clock = EmbeddedClock(engine, settings, clients, Mailer(settings), now=lambda: time_of_day, monotonic=lambda: 0.0)
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    clock.wake()
    eventually(lambda: kitchen.states() == [RunState.WAITING], "a retry")
    time_of_day -= timedelta(days=1)
    eventually(lambda: kitchen.runs()[0].due_at < time_of_day + timedelta(seconds=7), "the retry's new time")
    time_of_day += timedelta(seconds=7)
    clock.wake()
    eventually(lambda: kitchen.states() == [RunState.SUCCEEDED], "the retry")
    clock.stop()
    thread.join(10)


def test_what_was_kept_is_run_in_small_parts_with_room_between(
    kitchen: Kitchen, engine: Engine, vault: Vault, settings: Settings
) -> None:
    """One transaction does not make thousands of runs, and one after another would leave deliveries no room."""
    clock = EmbeddedClock(engine, settings, ClientCache(vault, {}), Mailer(settings), now=lambda: kitchen.now)
    recipes = [
        kitchen.recipe("order.completed", step("ledger", "put_row", None, key="k", columns={"A": "1"}))
        for _ in range(2)
    ]
    kitchen.deliver("order.completed", order(1))
    with transaction(engine) as session:
        session.execute(update(Event).values(fanned_out_at=kitchen.now))
        for recipe in recipes:
            session.add(OffPeriod(recipe_id=recipe, since=kitchen.now, kept=Kept.RUNNING))
    made = []
    for seconds in (0, 0.1, 0.2):
        kitchen.later(seconds=seconds)
        clock.turn()
        made.append(len(kitchen.runs()))
    clock.stop()
    clock.run()
    assert made == [1, 1, 2]
