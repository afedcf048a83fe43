"""The clock of one machine: a delivery becomes a call, and stopping loses nothing."""

import json
import threading

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import reading
from recipes.mail import Mailer
from recipes.models import Endpoint, LedgerRow, Run, RunState
from recipes.settings import Settings
from recipes.vault import Vault
from tests.integrations.conftest import StartVendor, _no_proxy, start_vendor
from tests.integrations.vendor import Vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step

__all__ = ["StartVendor", "_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]


@pytest.fixture
def clock(engine: Engine, vault: Vault, settings: Settings, slack: Vendor) -> EmbeddedClock:
    """A clock on the test's database."""
    clients = ClientCache(vault, {"slack": slack.url + "/"})
    return EmbeddedClock(engine, settings, clients, Mailer(settings))


def _run_until(clock: EmbeddedClock, done: threading.Event) -> None:
    thread = threading.Thread(target=clock.run)
    thread.start()
    clock.wake()
    assert done.wait(10)
    clock.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_stopping_engine_settles_what_is_under_way(
    kitchen: Kitchen, clock: EmbeddedClock, slack: Vendor, endpoint: Endpoint
) -> None:
    """The call has begun when the signal comes: its answer is still recorded."""
    called, may_answer = threading.Event(), threading.Event()

    def slow(request: object) -> object:
        called.set()
        assert may_answer.wait(10)
        return slack.answers["POST /chat.postMessage"]

    slack.script.append(slow)  # type: ignore[arg-type]
    fields = {"channel": "C0123456789", "text": "Sold"}
    kitchen.recipe("order.completed", step("slack", "post_message", kitchen.connect("slack"), **fields))
    kitchen.deliver("order.completed", order(1))
    thread = threading.Thread(target=clock.run)
    thread.start()
    clock.wake()
    assert called.wait(10)
    clock.stop()
    may_answer.set()
    thread.join(10)
    assert not thread.is_alive()
    assert kitchen.states() == [RunState.SUCCEEDED]


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
