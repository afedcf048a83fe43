"""What every clock keeps, whichever it is: one on a SQLite file, or two workers on PostgreSQL."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from werkzeug import Request, Response

from integrations import integration
from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.db import transaction
from recipes.models import Connection, Endpoint, Merchant, RunState
from recipes.settings import Settings
from recipes.vault import Vault
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.clocks import Clocks
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import eventually

pytestmark = both_databases

TAKEN_AT_ONCE = integration("mailchimp").concurrent
TAKEN_IN_A_MINUTE = integration("slack").per_minute or 0


@pytest.fixture
def clocks(engine: Engine, vault: Vault, settings: Settings, slack: Vendor, mailchimp: Vendor) -> Iterator[Clocks]:
    """Not yet started."""
    clients = ClientCache(vault, {"slack": slack.url + "/", "mailchimp": mailchimp.url})
    clocks = Clocks(engine, settings, clients)
    yield clocks
    clocks.stop()


@pytest.fixture
def kitchen(kitchen: Kitchen, clocks: Clocks) -> Kitchen:
    """In the clocks' time; they learn of what is delivered as from a receiver."""
    kitchen.now = clocks.now()
    kitchen.wake = clocks.wake
    return kitchen


def _post(kitchen: Kitchen, event: str = "order.completed") -> int:
    connection = kitchen.connect("slack")
    fields = {"channel": "C0123456789", "text": "{{ order.id }}"}
    kitchen.recipe(event, step("slack", "post_message", connection, **fields))
    return connection


def _add(kitchen: Kitchen) -> int:
    connection = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "first_name": "{{ order.id }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", connection, **fields))
    return connection


def _names(mailchimp: Vendor) -> list[str]:
    return [str((call.get_json() or {})["merge_fields"]["FNAME"]) for call in mailchimp.calls]


def _texts(slack: Vendor) -> list[str]:
    return [_text_of(call) for call in slack.calls]


def _text_of(call: Request) -> str:
    return call.form["text"] if call.form else str((call.get_json() or {})["text"])


def _ended(kitchen: Kitchen, count: int, state: RunState = RunState.SUCCEEDED) -> None:
    eventually(lambda: kitchen.states().count(state) >= count, f"{count} runs {state}, of {kitchen.states()}")


def test_every_event_is_done_once(kitchen: Kitchen, clocks: Clocks, slack: Vendor) -> None:
    """Those that wait at the start, and those that come meanwhile."""
    _post(kitchen)
    for number in range(20):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    clocks.start()
    for number in range(20, 40):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    _ended(kitchen, 40)
    assert sorted(_texts(slack)) == sorted(f"order_{number}" for number in range(40))
    assert {run.attempt for run in kitchen.runs()} == {1}


def test_one_buyers_runs_keep_their_order_through_a_retry(kitchen: Kitchen, clocks: Clocks, mailchimp: Vendor) -> None:
    """What comes after waits for the first to succeed."""
    _add(kitchen)
    mailchimp.script = [answer({"title": "Internal Server Error", "status": 500}, 500)]
    clocks.start()
    kitchen.deliver("order.completed", order(1))
    eventually(lambda: RunState.WAITING in kitchen.states(), "the first try")
    for number in (2, 3):
        kitchen.deliver("order.completed", order(number))
    eventually(lambda: len(kitchen.states()) == 3, "three runs")
    clocks.later(minutes=1)
    _ended(kitchen, 3)
    assert _names(mailchimp) == ["order_1", "order_1", "order_2", "order_3"]


def test_a_step_that_waits_keeps_nobody_waiting_and_is_done_when_it_is_due(
    kitchen: Kitchen, clocks: Clocks, slack: Vendor
) -> None:
    """Three days later, without anybody telling the clock. The same buyer's next order does not wait for it."""
    connection = _post(kitchen)
    late = step("slack", "post_message", connection, channel="C0123456789", text="late {{ order.id }}")
    kitchen.recipe("order.completed", late | {"wait": "3 days"})
    clocks.start()
    for number in (1, 2):
        kitchen.deliver("order.completed", order(number))
        _ended(kitchen, number)
    assert _texts(slack) == ["order_1", "order_2"]
    assert kitchen.states().count(RunState.DELAYED) == 2
    clocks.later(days=3)
    _ended(kitchen, 4)
    assert _texts(slack)[2:] == ["late order_1", "late order_2"]


def test_a_refused_connection_holds_its_runs_until_it_is_reconnected(
    kitchen: Kitchen, clocks: Clocks, slack: Vendor, engine: Engine
) -> None:
    """None fails, and then they go in their order."""
    connection = _post(kitchen)
    slack.answers["POST /chat.postMessage"] = answer({"ok": False, "error": "invalid_auth"}, 200)
    clocks.start()
    for number in range(3):
        kitchen.deliver("order.completed", order(number))
    _ended(kitchen, 3, RunState.HELD)
    tried = len(slack.calls)
    slack.answers["POST /chat.postMessage"] = answer({"ok": True, "channel": "C0123456789", "ts": "1.2"})
    with transaction(engine) as session:
        session.get_one(Connection, connection).revision += 1
        assert runs.release(session, connection, now=clocks.now()) == 3
    clocks.wake()
    _ended(kitchen, 3)
    assert _texts(slack)[tried:] == ["order_0", "order_1", "order_2"]


def test_a_service_is_asked_no_more_at_once_than_it_takes(kitchen: Kitchen, clocks: Clocks, mailchimp: Vendor) -> None:
    """However many workers there are."""
    _add(kitchen)
    changed, at_once, most = threading.Condition(), [0], [0]
    usual = answer({"id": "1", "status": "subscribed"})

    def slow(_request: Request) -> Response:
        with changed:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            changed.notify_all()
            changed.wait_for(lambda: most[0] >= TAKEN_AT_ONCE, 5.0)  # nobody is done before all are there
        mailchimp.pause(0.02)
        with changed:
            at_once[0] -= 1
        return usual

    mailchimp.answers["PUT /lists/{list_id}/members/{subscriber_hash}"] = slow
    for number in range(40):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    clocks.start()
    _ended(kitchen, 40)
    assert most[0] == TAKEN_AT_ONCE


def test_a_service_that_asks_to_be_left_alone_is(kitchen: Kitchen, clocks: Clocks, slack: Vendor) -> None:
    """By every worker, until its time is over; then all goes on by itself."""
    _post(kitchen)
    slack.script = [answer({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "30"})]
    kitchen.deliver("order.completed", order(0, "first@example.com"))
    clocks.start()
    eventually(kitchen.attempts, "the first try")
    for number in range(1, 6):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    eventually(lambda: len(kitchen.states()) == 6, "six runs")
    assert len(slack.calls) == 1
    clocks.later(seconds=60)
    _ended(kitchen, 6)
    assert len(slack.calls) == 7


def test_a_service_is_asked_no_more_in_a_minute_than_it_takes(kitchen: Kitchen, clocks: Clocks, slack: Vendor) -> None:
    """The rest is done in the next."""
    _post(kitchen)
    for number in range(TAKEN_IN_A_MINUTE + 2):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    clocks.start()
    _ended(kitchen, TAKEN_IN_A_MINUTE)
    kitchen.deliver("order.completed", order(1_000, "another@example.com"))
    eventually(lambda: len(kitchen.states()) == TAKEN_IN_A_MINUTE + 3, "the last run")
    assert len(slack.calls) == TAKEN_IN_A_MINUTE
    clocks.later(seconds=61)
    _ended(kitchen, TAKEN_IN_A_MINUTE + 3)


def test_what_a_dead_engine_may_have_done_is_asked_about(kitchen: Kitchen, clocks: Clocks, slack: Vendor) -> None:
    """Of the service; one that cannot tell is not called again, the merchant has to say."""
    _post(kitchen)
    slack.answers["POST /conversations.history"] = answer({"ok": False, "error": "missing_scope"})
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2))
    [claimed] = kitchen.claim()
    kitchen.perform(claimed)
    clocks.later(minutes=3)
    clocks.start()
    _ended(kitchen, 1)
    assert kitchen.states() == [RunState.UNSURE, RunState.SUCCEEDED]
    assert [_text_of(call) for call in slack.seen("POST /chat.postMessage")] == ["order_1", "order_2"]


def test_what_a_dead_engine_had_goes_on(kitchen: Kitchen, clocks: Clocks, mailchimp: Vendor) -> None:
    """What can be repeated is repeated."""
    _add(kitchen)
    for number in range(3):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    assert len(kitchen.claim()) == 3
    clocks.later(minutes=3)
    clocks.start()
    _ended(kitchen, 3)
    assert {run.attempt for run in kitchen.runs()} == {2}


def test_what_a_cancelled_run_kept_waiting_goes(kitchen: Kitchen, clocks: Clocks, slack: Vendor) -> None:
    """Not tomorrow, when it would have been tried again."""
    connection = _post(kitchen)
    assert connection
    slack.script = [answer({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "1"})]
    clocks.start()
    kitchen.deliver("order.completed", order(1))
    eventually(lambda: RunState.WAITING in kitchen.states(), "a run that waits")
    kitchen.deliver("order.completed", order(2))
    eventually(lambda: len(kitchen.states()) == 2, "two runs")
    kitchen.now = clocks.now()
    kitchen.cancel(kitchen.runs()[0].id)
    clocks.later(seconds=3)
    _ended(kitchen, 1)
    assert _texts(slack)[-1] == "order_2"


@pytest.mark.long
def test_a_merchant_with_much_to_do_keeps_no_other_waiting(
    engine: Engine, vault: Vault, settings: Settings, kitchen: Kitchen, mailchimp: Vendor
) -> None:
    """What comes for somebody else goes next, not after all that waits."""
    for _ in range(4):
        _add(kitchen)
    for number in range(40):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    neighbour = _neighbour(engine, vault)
    _add(neighbour)
    neighbour.deliver("order.completed", order(1_000, "neighbour@example.com"))

    def slow(_request: Request) -> Response:
        mailchimp.pause(0.02)
        return answer({"id": "1", "status": "subscribed"})

    mailchimp.answers["PUT /lists/{list_id}/members/{subscriber_hash}"] = slow
    few = settings.model_copy(update={"engine_threads": 2})
    clocks = Clocks(engine, few, ClientCache(vault, {"mailchimp": mailchimp.url}))
    clocks.start()
    _ended(kitchen, 161)
    clocks.stop()
    assert _names(mailchimp).index("order_1000") < 80


def _neighbour(engine: Engine, vault: Vault) -> Kitchen:
    with transaction(engine) as session:
        merchant = Merchant(name="Beta Books", created_at=datetime.now(UTC))
        session.add(merchant)
        session.flush()
        endpoint = Endpoint(merchant_id=merchant.id or 0, token="of-the-neighbour", created_at=datetime.now(UTC))
        session.add(endpoint)
    neighbour = Kitchen(engine, vault, endpoint, {})
    neighbour.now = datetime.now(UTC)
    return neighbour


def test_stopping_settles_what_is_under_way(kitchen: Kitchen, clocks: Clocks, slack: Vendor) -> None:
    """The call has begun when the signal comes: its answer is still recorded. The rest is for another."""
    called, may_answer = threading.Event(), threading.Event()
    usual = slack.answers["POST /chat.postMessage"]

    def slow(request: Request) -> Response:
        called.set()
        assert may_answer.wait(10)
        return usual if isinstance(usual, Response) else usual(request)

    slack.script.append(slow)
    _post(kitchen)
    for number in range(2):
        kitchen.deliver("order.completed", order(number))
    clocks.start()
    assert called.wait(10)
    clocks.ask_to_stop()
    eventually(lambda: clocks.at_work() == 1, "the end of a worker that has nothing under way")
    may_answer.set()
    clocks.stop()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.QUEUED]
