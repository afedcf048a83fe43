"""A worker that stands still for longer than its lease, or whose clock is wrong: what it had is another's."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recipes.clients import ClientCache
from recipes.clocks.sharing import SharedDispatcher
from recipes.mail import Mailer
from recipes.models import RunState
from recipes.settings import Settings
from recipes.vault import Vault
from tests.integrations.vendor import Vendor
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import eventually

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

ADD = "PUT /lists/{list_id}/members/{subscriber_hash}"


class Gate(ClientCache):
    """Clients that are not there before it is opened: a worker stands still before its call."""

    def __init__(self, vault: Vault, api_base: Mapping[str, str]) -> None:
        super().__init__(vault, api_base)
        self.opened = threading.Event()

    def get(self, app: str, connection_id: int, revision: int, credentials: bytes) -> Any:
        """Waits."""
        assert self.opened.wait(10)
        return super().get(app, connection_id, revision, credentials)


@pytest.fixture
def gate(vault: Vault, mailchimp: Vendor) -> Gate:
    """Closed."""
    return Gate(vault, {"mailchimp": mailchimp.url})


Build = Callable[..., SharedDispatcher]


@pytest.fixture
def build(engine: Engine, settings: Settings, kitchen: Kitchen, gate: Gate) -> Iterator[Build]:
    """A worker behind the gate. Its time, and the database's, is the kitchen's, if no other is given."""
    workers: list[SharedDispatcher] = []

    def build(**given: Any) -> SharedDispatcher:
        times = {"now": lambda: kitchen.now, "database_time": lambda _: kitchen.now}
        usual: dict[str, Any] = {"lease_seconds": 60.0, **times}
        workers.append(SharedDispatcher(engine, settings, gate, alive=lambda: None, **usual | given))
        return workers[-1]

    yield build
    gate.opened.set()
    for worker in workers:
        worker._pool.shutdown()


@pytest.fixture(autouse=True)
def _sold(kitchen: Kitchen) -> None:
    fields = {"audience": "a1", "email": "{{ buyer.email }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", kitchen.connect("mailchimp"), **fields))
    kitchen.deliver("order.completed", order(1))


def _goes_on(worker: SharedDispatcher, gate: Gate) -> int:
    """Lets it begin its calls, and take turns until all have come back; the number of runs that it took meanwhile."""
    taken = []

    def is_idle() -> bool:
        taken.append(worker.turn())
        return not worker._under_way

    gate.opened.set()
    eventually(is_idle, "the end of its calls")
    return sum(taken)


def test_what_another_did_meanwhile_is_not_called_again(
    kitchen: Kitchen, build: Build, gate: Gate, mailchimp: Vendor
) -> None:
    """It stood still between the claim and the call: a grant would land after what took it back."""
    worker = build()
    assert worker.turn() == 1
    kitchen.later(minutes=2)
    assert kitchen.recover() == 1
    kitchen.lease = "another"
    [taken_over] = kitchen.claim()
    assert _goes_on(worker, gate) == 0
    assert mailchimp.seen(ADD) == []
    assert [(run.state, run.lease) for run in kitchen.runs()] == [(RunState.RUNNING, "another")]
    kitchen.finish([taken_over])
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert [attempt.result for attempt in kitchen.attempts()] == ["interrupted", "succeeded"]


def test_what_nobody_took_meanwhile_is_taken_anew_before_it_is_called(
    kitchen: Kitchen, build: Build, gate: Gate, mailchimp: Vendor
) -> None:
    """Little of its lease is left, so it is handed back. That is no try, and leaves no doubt."""
    worker = build()
    assert worker.turn() == 1
    kitchen.later(seconds=50)
    assert _goes_on(worker, gate) == 1
    assert len(mailchimp.seen(ADD)) == 1
    assert [(run.state, run.attempt, run.doubt) for run in kitchen.runs()] == [(RunState.SUCCEEDED, 1, False)]
    assert [attempt.result for attempt in kitchen.attempts()] == ["succeeded"]


def test_what_was_taken_from_a_worker_is_not_its_own_again_while_its_call_is_out(
    kitchen: Kitchen, build: Build, gate: Gate, mailchimp: Vendor
) -> None:
    """Both answers would be for one and the same worker."""
    worker = build()
    assert worker.turn() == 1
    kitchen.later(minutes=2)
    assert kitchen.recover() == 1
    assert worker.turn() == 0
    assert kitchen.states() == [RunState.QUEUED]
    _goes_on(worker, gate)
    assert len(mailchimp.seen(ADD)) == 1
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_leases_go_by_the_databases_clock(
    kitchen: Kitchen, engine: Engine, settings: Settings, vault: Vault, build: Build
) -> None:
    """One machine's clock is behind the other's by more than a lease: the living are not taken for dead."""
    distributed = import_module("recipes.clocks.distributed")
    slow = build(now=lambda: datetime.now(UTC) - timedelta(minutes=2), database_time=distributed.time_of)
    fast = distributed.DistributedClock(
        engine,
        settings,
        ClientCache(vault, {}),
        Mailer(settings),
        distributed.Rhythm(lease=0.0),
        now=lambda: datetime.now(UTC) + timedelta(minutes=2),
    )
    assert slow.turn() == 1
    fast._recover(None, 0)
    assert kitchen.states() == [RunState.RUNNING]


@pytest.mark.parametrize("trouble", [RuntimeError("unheard of"), PoolTimeout("all connections are in use")])
def test_who_shows_life_goes_on_whatever_it_meets(
    kitchen: Kitchen, build: Build, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """If it ended, every run under way would be taken for lost from then on."""
    troubles: list[Exception] = []

    def ask(_: Connection) -> datetime:
        if troubles:
            raise troubles.pop()
        return kitchen.now

    worker = build(lease_seconds=0.2, database_time=ask)
    assert worker.turn() == 1
    [before] = [run.lease_until for run in kitchen.runs()]
    assert before is not None
    troubles.append(trouble)
    kitchen.later(seconds=0.1)
    keeper = threading.Thread(target=worker._extend_leases)
    keeper.start()
    eventually(lambda: kitchen.runs()[0].lease_until == before + timedelta(seconds=0.1), "a longer lease")
    worker._ended.set()
    keeper.join()
    assert not troubles
    # What passes by itself is a line in the log.
    assert ("Traceback" in caplog.text) == isinstance(trouble, RuntimeError)


def test_where_the_databases_time_passes_quicker_life_is_shown_as_often_as_it_takes(
    kitchen: Kitchen, build: Build
) -> None:
    """A lease of a minute there may be over in a second here."""
    worker = build(lease_seconds=60.0, renewal_seconds=0.05)
    assert worker.turn() == 1
    [before] = [run.lease_until for run in kitchen.runs()]
    kitchen.later(seconds=59)
    keeper = threading.Thread(target=worker._extend_leases)
    keeper.start()
    eventually(lambda: kitchen.runs()[0].lease_until != before, "a longer lease", seconds=5.0)
    worker._ended.set()
    keeper.join()
