"""PostgreSQL has several writers at once: receivers, engines and merchants do not get in each other's way."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from recipes import accounts, cookbook, jobs, ledger
from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.db import Lock, MissingDriver, open_database, reading, transaction, whichever_is_free
from recipes.inbox import Inbox, Receipt
from recipes.intake import Intake
from recipes.mail import Mailer
from recipes.models import Endpoint, Event, Mode, Notice, OffPeriod, Run, RunState, Standing
from recipes.settings import Settings
from recipes.spool import Delivery, Spool
from recipes.storing import bring_in, store
from recipes.vault import Vault
from tests.conftest import NOW
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


@pytest.fixture
def endpoints(engine: Engine, endpoint: Endpoint) -> list[Endpoint]:
    """The merchant's two sides."""
    with transaction(engine) as session:
        test = Endpoint(merchant_id=endpoint.merchant_id, mode=Mode.TEST, token="test-token", created_at=NOW)
        session.add(test)
    return [endpoint, test]


@pytest.fixture
def impatient(settings: Settings) -> Iterator[Engine]:
    """The database to one who does not wait."""
    engine = open_database(settings.database, wait_seconds=0.05)
    yield engine
    engine.dispose()


def _delivery(endpoint: Endpoint, event: str, body: object) -> Delivery:
    assert endpoint.id is not None
    return Delivery(
        endpoint_id=endpoint.id,
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        body=json.dumps(body).encode(),
        event_header=event,
        timestamp_header=None,
        received_at=NOW,
    )


def _at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Does the work so many times in threads that begin together."""
    gate = threading.Barrier(count)

    def begin(number: int) -> object:
        gate.wait(10.0)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def _events(engine: Engine) -> Sequence[Event]:
    with reading(engine) as session:
        return session.exec(select(Event).order_by(col(Event.id))).all()


def test_receivers_that_get_the_same_at_once_store_it_once(engine: Engine, endpoints: list[Endpoint]) -> None:
    """Whatever the batches' order, which would have them wait for each other: none is lost, none doubled."""
    deliveries = [_delivery(each, "order.completed", order(number)) for each in endpoints for number in range(40)]
    stored = _at_once(4, lambda number: store(engine, deliveries if number % 2 else deliveries[::-1]))
    assert sum(sum(each) for each in stored if isinstance(each, list)) == len(deliveries)
    assert len(_events(engine)) == len(deliveries)


def test_an_endpoints_events_are_numbered_as_they_are_committed(
    engine: Engine, impatient: Engine, endpoints: list[Endpoint]
) -> None:
    """Fan-out goes by these numbers: a lower one that comes later would be run after what it precedes."""
    first, second = (_delivery(endpoints[0], "order.completed", order(number)) for number in (1, 2))
    elsewhere = _delivery(endpoints[1], "order.completed", order(3))
    with transaction(engine) as session:
        Intake(session).take([first])
        with pytest.raises(OperationalError, match="lock timeout"):
            store(impatient, [second])
        assert store(impatient, [elsewhere]) == [True]
    assert store(impatient, [second]) == [True]
    assert [json.loads(event.body)["order"]["id"] for event in _events(engine) if event.endpoint_id == 1] == [
        "order_1",
        "order_2",
    ]


def test_two_engines_do_not_look_for_a_connections_runs_at_once(
    kitchen: Kitchen, engine: Engine, impatient: Engine
) -> None:
    """Else one could begin a row between the other's looking for what is under way and its choice of what goes next."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    with transaction(engine) as session:
        runs.fan_out(session, now=NOW)
    with transaction(engine) as session:
        assert len(_claim(session, "one")) == 1
        with pytest.raises(OperationalError, match="lock timeout"), transaction(impatient) as other:
            _claim(other, "two")
    with transaction(impatient) as other:
        assert len(_claim(other, "two")) == 1


def _claim(session: Session, lease: str) -> Sequence[runs.Claimed]:
    return runs.claim(session, now=NOW, lease=lease, limits=runs.Limits(), limit=1)


def test_refunds_that_come_to_several_receivers_add_up(engine: Engine, endpoints: list[Endpoint]) -> None:
    """Each knows of the others': the sale that comes after all of them does not run."""
    sale = order(1)
    parts = [
        _delivery(endpoints[0], "order.refunded", {**sale, "refund": {"id": f"r{number}", "amount": 16.25}})
        for number in range(4)
    ]
    _at_once(4, lambda number: store(engine, [parts[number]]))
    store(engine, [_delivery(endpoints[0], "order.completed", sale)])
    assert [event.standing for event in _events(engine)] == ["ready"] * 4 + ["suspicious"]


def test_a_postgresql_that_is_away_sends_deliveries_to_the_spool(
    engine: Engine, settings: Settings, endpoints: list[Endpoint], closed_port: int
) -> None:
    """They are answered, and come in later, in order."""
    spool = Spool(settings.spool)
    away = open_database(f"postgresql://nobody@127.0.0.1:{closed_port}/gone", wait_seconds=0.5)
    inbox = Inbox(away, spool, wake=lambda: None)
    for number in range(3):
        sale = _delivery(endpoints[0], "order.completed", order(number))
        assert inbox.accept(replace(sale, received_at=NOW + timedelta(seconds=number))) is Receipt.SPOOLED
    inbox.close()
    away.dispose()
    assert bring_in(engine, spool) == 3
    assert [json.loads(event.body)["order"]["id"] for event in _events(engine)] == ["order_0", "order_1", "order_2"]


def test_a_lock_that_is_held_too_long_is_not_waited_for(engine: Engine, impatient: Engine) -> None:
    """The receiver has half a second; the spool takes over then."""
    with transaction(engine) as session:
        assert accounts.first_run_token(session, NOW)
        with pytest.raises(OperationalError, match="lock timeout"), transaction(impatient) as other:
            accounts.first_run_token(other, NOW)


def test_a_run_that_is_asked_for_twice_at_once_is_repeated_once(kitchen: Kitchen, engine: Engine) -> None:
    """Two clicks, or two people."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    [run] = kitchen.runs()
    assert run.state == RunState.FAILED
    gone_on: list[int | None] = []

    def ask(_number: int) -> None:
        try:
            with transaction(engine) as session:
                gone_on.append(runs.run_again(session, run.merchant_id, run.id or 0, now=NOW).id)
        except runs.RunRequestError:
            pass

    _at_once(4, ask)
    assert gone_on == [run.id]
    assert kitchen.states() == [RunState.QUEUED]


def test_events_are_fanned_out_once_and_in_their_order(kitchen: Kitchen, engine: Engine) -> None:
    """However many engines do it at once."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    for number in range(20):
        kitchen.deliver("order.completed", order(number))

    def fan_out(_number: int) -> None:
        with transaction(engine) as session:
            while runs.fan_out(session, now=NOW, limit=3):
                pass

    _at_once(3, fan_out)
    with reading(engine) as session:
        events = session.exec(select(col(Run.event_id)).order_by(col(Run.id))).all()
    assert list(events) == sorted(set(events))
    assert len(events) == 20


def test_limits_are_kept_together(engine: Engine, kitchen: Kitchen) -> None:
    """What one engine did counts for the others: calls of the last minute, and the rest that a service asked for."""
    connection = kitchen.connect("slack")
    with transaction(engine) as session:
        runs.SharedLimits(session).called(connection, "slack", 49, NOW)
    with transaction(engine) as session:
        limits = runs.SharedLimits(session)
        assert limits.room(connection, "slack", {}, NOW + timedelta(seconds=30)) == 1
        limits.called(connection, "slack", 1, NOW + timedelta(seconds=30))
        assert limits.free_at(connection, "slack", NOW + timedelta(seconds=30)) == NOW + timedelta(minutes=1)
        assert limits.room(connection, "slack", {}, NOW + timedelta(seconds=59)) == 0
        assert limits.room(connection, "slack", {connection: 1}, NOW + timedelta(seconds=60)) == 3
        limits.rest(connection, NOW + timedelta(minutes=5))
        limits.rest(connection, NOW + timedelta(minutes=2))
    with transaction(engine) as session:
        limits = runs.SharedLimits(session)
        assert limits.room(connection, "slack", {}, NOW + timedelta(minutes=4)) == 0
        assert limits.free_at(connection, "slack", NOW + timedelta(minutes=4)) == NOW + timedelta(minutes=5)
        assert limits.room(connection, "slack", {}, NOW + timedelta(minutes=5)) == 4


def test_work_is_announced_in_the_transaction_that_makes_it(engine: Engine, kitchen: Kitchen) -> None:
    """No job without its run, and no run without its job: what is rolled back leaves neither."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    kitchen.deliver("order.completed", order(1))
    assert _jobs(engine) == [None]
    with engine.connect() as connection, Session(connection) as session:
        Intake(session).take([_delivery(kitchen.endpoint, "order.completed", order(2))])
        session.rollback()
    assert _jobs(engine) == [None]


def test_retries_are_announced_for_their_time(engine: Engine, kitchen: Kitchen) -> None:
    """One job for all of a second; none for what goes on at once, as who settles looks for that."""
    times = [NOW + timedelta(seconds=seconds) for seconds in (30.2, 30.9, 31.5)]
    with transaction(engine) as session:
        jobs.look_later(session, times)
    assert _jobs(engine) == [NOW + timedelta(seconds=31), NOW + timedelta(seconds=32)]


def test_what_was_kept_is_announced_when_it_is_asked_for(engine: Engine, kitchen: Kitchen) -> None:
    """Not found by chance, a minute later."""
    recipe = kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    with transaction(engine) as session:
        session.add(OffPeriod(recipe_id=recipe, since=NOW, until=NOW + timedelta(hours=1)))
    with transaction(engine) as session:
        cookbook.run_kept(session, kitchen.endpoint.merchant_id, recipe, NOW)
    assert _jobs(engine) == [None]


def test_living_workers_are_left_time_to_show_it(
    engine: Engine, kitchen: Kitchen, settings: Settings, vault: Vault
) -> None:
    """After PostgreSQL was away all leases are over; who just had it away waits before it takes others for dead."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    kitchen.deliver("order.completed", order(1))
    assert len(kitchen.claim()) == 1
    distributed = import_module("recipes.clocks.distributed")
    states = []
    for lease in (3_600.0, 0.0):
        clock = distributed.DistributedClock(
            engine, settings, ClientCache(vault, {}), Mailer(settings), distributed.Rhythm(lease=lease)
        )
        clock._recover(None, 0)
        states += kitchen.states()
    assert states == [RunState.RUNNING, RunState.QUEUED]


def _jobs(engine: Engine) -> Sequence[datetime | None]:
    """When each of them is to be taken; None: at once."""
    with reading(engine) as session:
        asked = text("SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = 'look' ORDER BY id")
        return session.execute(asked).scalars().all()


def test_what_another_engine_is_claiming_is_passed_over(kitchen: Kitchen, engine: Engine, impatient: Engine) -> None:
    """Nobody waits, however long the other takes; what is locked is told apart from what is free."""
    with transaction(engine) as session:
        assert whichever_is_free(session, Lock.CLAIM, {1, 2}) == {1, 2}
        with transaction(impatient) as other:
            assert whichever_is_free(other, Lock.CLAIM, {2, 3}) == {3}
            assert whichever_is_free(other, Lock.FAN_OUT) == {0}
    with transaction(engine) as session:
        assert whichever_is_free(session, Lock.CLAIM, {1, 2, 3}) == {1, 2, 3}


def test_without_the_driver_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """PostgreSQL is an extra."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDriver, match=r"pip install 'pocketwire\[postgresql\]'"):
        open_database(database_url)


def test_an_event_that_is_left_twice_at_once_is_left_once(engine: Engine, endpoint: Endpoint) -> None:
    """Two pages, or a double click: neither is told of an error."""
    store(engine, [_delivery(endpoint, "order.completed", order(1))])
    [event] = _events(engine)
    with transaction(engine) as session:
        session.get_one(Event, event.id).standing = Standing.SUSPICIOUS

    def leave(_number: int) -> bool:
        with transaction(engine) as session:
            return ledger.leave_event(session, event.merchant_id, event.id or 0, NOW)

    assert _at_once(4, leave) == [True] * 4
    with reading(engine) as session:
        assert len(session.exec(select(Notice)).all()) == 1
