"""The inbox: what is answered is on disk, what comes twice is stored once."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen
from sqlmodel import select

from recipes.db import Lock, one_at_a_time, open_database, reading, transaction
from recipes.inbox import CannotAccept, Inbox, Receipt
from recipes.models import Endpoint, Event, Standing
from recipes.settings import Settings
from recipes.spool import Delivery, Spool
from recipes.storing import bring_in, store
from tests.conftest import NOW, both_databases

pytestmark = both_databases

SAMPLES = Path("recipes/events/samples")
ORDER = {"order": {"id": "order_1"}, "amount": 64.99, "currency": "usd", "customer": {"email": "Jane@Example.com "}}


@pytest.fixture
def delivery(endpoint: Endpoint) -> Callable[..., Delivery]:
    """Makes deliveries to the endpoint."""

    def make(body: Any = ORDER, event: str | None = "order.completed", at: datetime = NOW) -> Delivery:
        assert endpoint.id is not None
        return Delivery(
            endpoint_id=endpoint.id,
            merchant_id=endpoint.merchant_id,
            mode=endpoint.mode,
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            event_header=event,
            timestamp_header=None,
            received_at=at,
        )

    return make


@pytest.fixture
def spool(settings: Settings) -> Spool:
    """The settings' spool."""
    return Spool(settings.spool)


@pytest.fixture
def inbox(settings: Settings, engine: Engine, spool: Spool) -> Iterator[Inbox]:
    """An inbox that does not wait long for a locked database."""
    impatient = open_database(settings.database, wait_seconds=0.05)
    inbox = Inbox(impatient, spool, wake=lambda: None)
    yield inbox
    inbox.close()
    impatient.dispose()


def _events(engine: Engine) -> list[Event]:
    with reading(engine) as session:
        return list(session.exec(select(Event).order_by(Event.id)))  # type: ignore[arg-type]


def test_a_delivery_is_on_disk_when_it_is_answered(
    inbox: Inbox, engine: Engine, delivery: Callable[..., Delivery]
) -> None:
    """Stored raw, with its type, subject and time."""
    assert inbox.accept(delivery()) is Receipt.STORED
    [event] = _events(engine)
    assert (event.type, event.subject, event.standing) == ("order.completed", "jane@example.com", Standing.READY)
    assert json.loads(event.body) == ORDER
    assert event.received_at == NOW
    assert event.fanned_out_at is None


def test_a_duplicate_is_stored_once_also_within_a_batch(
    inbox: Inbox, engine: Engine, delivery: Callable[..., Delivery]
) -> None:
    """The same order delivered again, at once or weeks later, is one event."""
    assert store(engine, [delivery(), delivery(), delivery({**ORDER, "order": {"id": "order_2"}})]) == [
        True,
        False,
        True,
    ]
    assert inbox.accept(delivery(at=NOW + timedelta(days=30))) is Receipt.DUPLICATE
    assert len(_events(engine)) == 2


def test_what_comes_while_the_database_is_waited_for_is_stored_with_the_rest(
    engine: Engine, delivery: Callable[..., Delivery]
) -> None:
    """In the same commit, after those before it, each told apart: a busy engine makes batches larger, not many."""
    looks: list[int] = []

    def came_meanwhile() -> list[Delivery]:
        looks.append(len(_events(engine)))
        return [delivery(), delivery({**ORDER, "order": {"id": "order_2"}})]

    commits: list[object] = []
    listen(engine, "commit", commits.append)
    assert store(engine, [delivery()], came_meanwhile) == [True, False, True]
    assert (looks, len(commits)) == ([0], 1)
    assert [json.loads(event.body)["order"]["id"] for event in _events(engine)] == ["order_1", "order_2"]


def test_many_at_once_are_each_stored_once(inbox: Inbox, engine: Engine, delivery: Callable[..., Delivery]) -> None:
    """Group commit mixes up nobody's answer."""
    answers: dict[int, Receipt] = {}

    def send(number: int) -> None:
        answers[number] = inbox.accept(delivery({**ORDER, "order": {"id": f"order_{number // 2}"}}))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers.values()) == [Receipt.DUPLICATE] * 20 + [Receipt.STORED] * 20
    assert len(_events(engine)) == 20


def test_byte_identical_renewals_of_two_months_are_two_events(
    engine: Engine, delivery: Callable[..., Delivery]
) -> None:
    """A renewal's body holds no date: a plain body hash would swallow the second month's."""
    renewal = json.loads((SAMPLES / "invoice.payment_succeeded.json").read_text())
    kind = "invoice.payment_succeeded"
    assert store(engine, [delivery(renewal, kind)]) == [True]
    assert store(engine, [delivery(renewal, kind, NOW + timedelta(minutes=5))]) == [False]
    assert store(engine, [delivery(renewal, "invoice.paid", NOW + timedelta(hours=1))]) == [False]
    assert store(engine, [delivery(renewal, kind, NOW + timedelta(days=30))]) == [True]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("refund", "standing"),
    [
        ({"id": "r1", "amount": 64.99}, Standing.SUSPICIOUS),
        ({"id": "r1"}, Standing.SUSPICIOUS),
        ({"id": "r1", "amount": 5.50}, Standing.READY),
    ],
)
def test_a_sale_that_comes_after_its_refund_is_kept_and_does_not_run(
    engine: Engine, delivery: Callable[..., Delivery], refund: dict[str, Any], standing: Standing, together: bool
) -> None:
    """In one batch or not. After a refund in part it runs, for the buyer keeps what was bought."""
    came = [delivery({**ORDER, "amount": None, "refund": refund}, "order.refunded"), delivery()]
    for batch in [came] if together else [[each] for each in came]:
        assert store(engine, batch) == [True] * len(batch)
    refunded, sale = _events(engine)
    assert (refunded.standing, sale.standing) == (Standing.READY, standing)
    assert bool(sale.standing_reason) is bool(sale.fanned_out_at) is (standing == Standing.SUSPICIOUS)
    assert store(engine, [delivery(at=NOW + timedelta(days=1))]) == [False]


@pytest.mark.parametrize("together", [True, False])
def test_two_partial_refunds_that_are_the_whole_keep_the_sale_from_running(
    engine: Engine, delivery: Callable[..., Delivery], together: bool
) -> None:
    """They add up, also within one batch. A sale that comes first runs, whatever is refunded later."""
    parts = [{**ORDER, "refund": {"id": f"r{amount}", "amount": amount}} for amount in (32.50, 32.49)]
    first = delivery({**ORDER, "order": {"id": "order_2"}})
    came = [*(delivery(part, "order.refunded") for part in parts), first, delivery()]
    came.append(delivery({**parts[0], "order": {"id": "order_2"}}, "order.refunded"))
    for batch in [came] if together else [[each] for each in came]:
        store(engine, batch)
    assert [event.standing for event in _events(engine)] == ["ready", "ready", "ready", "suspicious", "ready"]


def test_a_second_review_is_another_event(engine: Engine, delivery: Callable[..., Delivery]) -> None:
    """By its own id; one without counts as the first. A bad one after a good one is what must not be missed."""
    review = json.loads((SAMPLES / "review.created.json").read_text())
    second = {**review, "review": {**review["review"], "id": "second", "review": "Not so good any more."}}
    without_id = {**review, "review": {"rating": 5, "review": "Exactly what I needed."}}
    kind = "review.created"
    assert store(engine, [delivery(review, kind), delivery(review, kind), delivery(without_id, kind)]) == [
        True,
        False,
        False,
    ]
    assert store(engine, [delivery(second, kind), delivery(without_id, kind)]) == [True, False]


def test_what_cannot_be_read_is_stored_and_set_apart(engine: Engine, delivery: Callable[..., Delivery]) -> None:
    """Signed but not JSON, unknown types and contradictions: kept and shown, never refused, never run."""
    odd = [
        delivery(b"\xff\x00 not json"),
        delivery({"some": "thing"}, "order.exploded"),
        delivery({**ORDER, "event": "order.refunded"}),
        delivery({"customer": {"email": "\ud800@example.com"}, "order": {"id": "\ud800"}}),
    ]
    assert store(engine, odd) == [True] * 4
    standings = [event.standing for event in _events(engine)]
    assert standings[:3] == [Standing.UNREADABLE, Standing.UNKNOWN, Standing.SUSPICIOUS]
    assert all(event.fanned_out_at for event in _events(engine)[:3])


@contextmanager
def _locked(engine: Engine) -> Iterator[None]:
    """While another writes and does not come to an end."""
    with transaction(engine) as session:
        one_at_a_time(session, Lock.INTAKE, {1})
        yield


def test_a_locked_database_sends_deliveries_to_the_spool_and_back(
    inbox: Inbox, engine: Engine, spool: Spool, delivery: Callable[..., Delivery]
) -> None:
    """Answered at once, on disk, brought in later and in order; brought in twice, it is still one event."""
    with _locked(engine):
        assert inbox.accept(delivery()) is Receipt.SPOOLED
        assert inbox.accept(delivery({**ORDER, "order": {"id": "order_2"}})) is Receipt.SPOOLED
        assert _events(engine) == []
    assert bring_in(engine, spool) == 2
    assert list(spool.batches()) == []
    assert [json.loads(event.body)["order"]["id"] for event in _events(engine)] == ["order_1", "order_2"]
    spool.write([delivery()])
    bring_in(engine, spool)
    assert len(_events(engine)) == 2


def test_without_database_and_spool_nothing_is_accepted(
    inbox: Inbox, engine: Engine, settings: Settings, delivery: Callable[..., Delivery]
) -> None:
    """Never a false 2xx."""
    settings.spool.rmdir()
    with _locked(engine), pytest.raises(CannotAccept):
        inbox.accept(delivery())


def test_what_waits_in_the_spool_goes_before_what_comes(
    inbox: Inbox, engine: Engine, spool: Spool, delivery: Callable[..., Delivery]
) -> None:
    """In small parts, so that nobody waits long: meanwhile what comes is spooled behind it, and the order holds."""
    for number in range(8):
        spool.write([delivery({**ORDER, "order": {"id": f"order_{number}"}})])
    assert inbox.accept(delivery({**ORDER, "order": {"id": "order_8"}})) is Receipt.SPOOLED
    assert inbox.accept(delivery({**ORDER, "order": {"id": "order_9"}})) is Receipt.STORED
    ids = [json.loads(event.body)["order"]["id"] for event in _events(engine)]
    assert ids == [f"order_{number}" for number in range(10)]


def test_a_spool_that_cannot_be_read_keeps_no_delivery_out(
    inbox: Inbox, engine: Engine, settings: Settings, delivery: Callable[..., Delivery]
) -> None:
    """The database would take it, so it is taken."""
    (settings.spool / "00000000000000000001-1-1.jsonl").mkdir()
    assert inbox.accept(delivery()) is Receipt.STORED
