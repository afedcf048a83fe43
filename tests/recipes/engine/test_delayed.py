"""A step that waits as its recipe says keeps nobody waiting meanwhile, and is done as any other when it is due."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from recipes import connections, cookbook, ledger
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.ledger.waiting import stopped_since
from recipes.models import Recipe, Run, RunState
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

DAYS = timedelta(days=3)
CHANNEL = "C0123456789"
BUSY = answer({"ok": False, "error": "ratelimited"}, 429)
REVOKED = answer({"ok": False, "error": "token_revoked"})


def _message(connection: int, text: str, wait: str = "") -> dict[str, Any]:
    return step("slack", "post_message", connection, channel=CHANNEL, text=text) | ({"wait": wait} if wait else {})


def _texts(slack: Vendor) -> list[str]:
    return [str((call.get_json(silent=True) or call.form)["text"]) for call in slack.seen("POST /chat.postMessage")]


def test_later_runs_of_its_lane_go_past_it(kitchen: Kitchen, slack: Vendor) -> None:
    """It has no place on the lane before it is due; then it is done once, at its first try."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", _message(connection, "late {{ order.id }}", "3 days"))
    kitchen.recipe("order.completed", _message(connection, "now {{ order.id }}"))
    for number in (1, 2):
        kitchen.deliver("order.completed", order(number))
        kitchen.work()
        kitchen.later(hours=1)
    assert _texts(slack) == ["now order_1", "now order_2"]
    first, _, second, _ = kitchen.runs()
    assert [each.due_at for each in (first, second)] == [NOW + DAYS, NOW + DAYS + timedelta(hours=1)]
    assert {(each.state, each.attempt) for each in (first, second)} == {(RunState.DELAYED, 0)}
    kitchen.now = NOW + DAYS - timedelta(seconds=1)
    kitchen.work()
    assert len(_texts(slack)) == 2
    kitchen.later(seconds=1)
    kitchen.work()
    kitchen.later(hours=1)
    kitchen.work()
    assert _texts(slack)[2:] == ["late order_1", "late order_2"]
    assert {(each.state, each.attempt) for each in kitchen.runs()} == {(RunState.SUCCEEDED, 1)}


def test_when_it_is_due_it_is_queued_behind_what_is_under_way(kitchen: Kitchen, slack: Vendor) -> None:
    """And before what waits there for a later event: each has its own place."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", _message(connection, "late {{ order.id }}", "10 minutes"))
    kitchen.recipe("review.created", _message(connection, "review {{ review.rating }}"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(minutes=10)
    for rating in (4, 5):
        kitchen.deliver("review.created", _review(rating))
        kitchen.later(seconds=0.1)
    with transaction(kitchen.engine) as session:
        runs.fan_out(session, now=kitchen.now)
        under_way = runs.claim(session, now=kitchen.now, lease=kitchen.lease, limits=kitchen.limits, limit=1)
    assert kitchen.claim() == []
    kitchen.finish(under_way)
    kitchen.work()
    assert _texts(slack) == ["review 4", "late order_1", "review 5"]


def _review(rating: int) -> dict[str, Any]:
    review = {"id": f"r_{rating}", "rating": rating, "review": "Good"}
    return {"review": review, "customer": {"email": "jane@example.com"}, "buyer": {"email": "jane@example.com"}}


def test_a_later_step_waits_from_the_end_of_the_one_before(kitchen: Kitchen, slack: Vendor) -> None:
    """Which had to be tried twice. The try that it comes to is its first."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", _message(connection, "now"), _message(connection, "later", "2 hours"))
    slack.script.append(BUSY)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(minutes=5)
    kitchen.work()
    ended_at = kitchen.now
    [run] = kitchen.runs()
    assert (run.state, run.step, run.attempt) == (RunState.DELAYED, 1, 0)
    assert run.due_at == ended_at + timedelta(hours=2)
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    assert _texts(slack) == ["now", "now", "now"]
    kitchen.now = ended_at + timedelta(hours=2)
    kitchen.work()
    assert _texts(slack)[3:] == ["later", "later"]
    assert [(each.step, each.number) for each in kitchen.attempts()] == [(0, 1), (0, 2), (0, 1), (1, 1), (1, 1)]


def test_a_connection_that_is_paused_holds_it_once_it_is_due(kitchen: Kitchen, slack: Vendor) -> None:
    """Until then the pause is none of its business. All go in the order of their events."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", _message(connection, "late {{ order.id }}", "1 hour"))
    kitchen.recipe("review.created", _message(connection, "review"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    slack.script.append(REVOKED)
    kitchen.later(minutes=1)
    kitchen.deliver("review.created", _review(5))
    kitchen.work()
    assert kitchen.states() == [RunState.DELAYED, RunState.HELD]
    assert kitchen.release(connection) == 1
    slack.script.append(REVOKED)
    kitchen.work()
    kitchen.later(hours=1)
    kitchen.work()
    assert kitchen.states() == [RunState.HELD, RunState.HELD]
    assert kitchen.release(connection) == 2
    kitchen.work()
    assert _texts(slack)[2:] == ["late order_1", "review"]


def test_a_suspended_stores_run_waits_on(kitchen: Kitchen, slack: Vendor) -> None:
    """As all that it has, until it is resumed."""
    kitchen.recipe("order.completed", _message(kitchen.connect("slack"), "late", "1 hour"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    with transaction(kitchen.engine) as session:
        runs.suspend(session, kitchen.endpoint.merchant_id, now=kitchen.now)
    kitchen.later(hours=2)
    kitchen.work()
    assert (kitchen.states(), _texts(slack)) == ([RunState.DELAYED], [])
    with transaction(kitchen.engine) as session:
        runs.resume(session, kitchen.endpoint.merchant_id, now=kitchen.now)
    kitchen.work()
    assert _texts(slack) == ["late"]


def test_it_can_be_cancelled(kitchen: Kitchen, slack: Vendor) -> None:
    """And run again: its time is over by then, or it waits for the rest of it."""
    kitchen.recipe("order.completed", _message(kitchen.connect("slack"), "late", "1 hour"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    with pytest.raises(runs.RunRequestError, match="still under way"):
        kitchen.run_again(1)
    kitchen.cancel(1)
    kitchen.run_again(1)
    assert kitchen.states() == [RunState.CANCELLED, RunState.DELAYED]
    assert kitchen.runs()[1].due_at == NOW + timedelta(hours=1)
    kitchen.cancel(2)
    kitchen.later(hours=2)
    kitchen.work()
    assert _texts(slack) == []
    kitchen.run_again(1)
    kitchen.work()
    assert _texts(slack) == ["late"]


def test_what_failed_after_its_wait_is_run_again_at_once(kitchen: Kitchen, slack: Vendor) -> None:
    """It has waited already. What comes after a step that is marked done waits from then."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", _message(connection, "late", "1 hour"), _message(connection, "later", "1 day"))
    slack.script.append(answer({"ok": False, "error": "channel_not_found"}))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(hours=1)
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED]
    kitchen.run_again(1)
    with transaction(kitchen.engine) as session:
        session.execute(update(Run).values(state=RunState.UNSURE))
    kitchen.mark_done(1)
    [run] = kitchen.runs()
    assert (run.state, run.due_at) == (RunState.DELAYED, kitchen.now + timedelta(days=1))
    kitchen.later(days=1)
    kitchen.work()
    assert _texts(slack) == ["late", "later"]


def test_conditions_are_asked_before_it_waits(kitchen: Kitchen, slack: Vendor) -> None:
    """Nobody is told for three days of a run that will come to nothing."""
    only_large = [{"fact": "order.amount", "operator": "more_than", "value": "100"}]
    message = _message(kitchen.connect("slack"), "late", "3 days")
    kitchen.recipe("order.completed", message, conditions=only_large)
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2) | {"amount": 164.99})
    kitchen.work()
    skipped, delayed = kitchen.runs()
    assert (skipped.state, delayed.state) == (RunState.SKIPPED, RunState.DELAYED)
    assert "64.99" in skipped.outcome
    assert skipped.finished_at == kitchen.now
    kitchen.later(days=3)
    kitchen.work()
    assert kitchen.states() == [RunState.SKIPPED, RunState.SUCCEEDED]
    assert _texts(slack) == ["late"]


def test_what_the_engine_comes_to_late_waits_no_longer(kitchen: Kitchen, slack: Vendor) -> None:
    """It waits from when its event came; what is over by then is done at once, in order."""
    kitchen.recipe("order.completed", _message(kitchen.connect("slack"), "late {{ order.id }}", "1 hour"))
    kitchen.deliver("order.completed", order(1))
    kitchen.later(minutes=50)
    kitchen.deliver("order.completed", order(2))
    kitchen.later(minutes=20)
    kitchen.work()
    assert (_texts(slack), kitchen.states()) == (["late order_1"], [RunState.SUCCEEDED, RunState.DELAYED])
    kitchen.later(minutes=40)
    kitchen.work()
    assert _texts(slack) == ["late order_1", "late order_2"]


@pytest.mark.parametrize("cancel_waiting", [False, True])
def test_switching_its_recipe_off_lets_it_finish_or_calls_it_off(
    kitchen: Kitchen, slack: Vendor, cancel_waiting: bool
) -> None:
    """As the merchant says, who is told of it."""
    number = kitchen.recipe("order.completed", _message(kitchen.connect("slack"), "late", "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    mine = kitchen.endpoint.merchant_id
    with transaction(kitchen.engine) as session:
        meant = cookbook.deletion(session, mine, number)
        assert meant is not None
        assert (meant.waiting, meant.sentences[-1]) == (1, "1 run is still under way and will finish.")
        off = cookbook.disable(session, mine, number, kitchen.now, cancel_waiting=cancel_waiting)
    assert (off.under_way, off.cancelled) == ((0, 1) if cancel_waiting else (1, 0))
    kitchen.later(days=3)
    kitchen.work()
    assert _texts(slack) == ([] if cancel_waiting else ["late"])


def test_its_connection_is_not_removed_unasked(kitchen: Kitchen) -> None:
    """Else it would fail when its time has come."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", _message(connection, "late", "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    with transaction(kitchen.engine) as session:
        session.execute(update(Recipe).values(enabled=False))
        with pytest.raises(connections.ConnectionInUse, match="1 run still needs slack"):
            connections.remove(session, kitchen.endpoint.merchant_id, connection)


def test_waiting_is_no_trouble_and_being_overdue_is(kitchen: Kitchen) -> None:
    """Nothing needs the merchant while a run waits as it was told to. An engine that lets it lie is told of."""
    kitchen.recipe("order.completed", _message(kitchen.connect("slack"), "late", "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    mine = kitchen.endpoint.merchant_id

    def trouble(after: timedelta) -> tuple[Any, list[str]]:
        with reading(kitchen.engine) as session:
            items = ledger.needs_attention(session, mine, NOW + after)
            return stopped_since(session, mine, NOW + after), [each.kind for each in items]

    assert trouble(timedelta(days=2)) == (None, [])
    stopped, kinds = trouble(DAYS + timedelta(minutes=6))
    assert stopped is not None
    assert (stopped.since, "engine_quiet" in kinds) == (NOW + DAYS, True)
    with reading(kitchen.engine) as session:
        counted = ledger.counters(session, mine, NOW + timedelta(days=2))
        [line] = ledger.runs_page(session, mine).items
        [event] = ledger.events_page(session, mine).items
    assert (counted.under_way, counted.retrying) == (1, 0)
    assert (line.state_words, line.waits_until, line.due_at) == ("waiting for its time", NOW + DAYS, None)
    assert event.outcome == "1 waiting for its time."


SET_BACK: list[tuple[timedelta, Callable[[timedelta], timedelta]]] = [
    (timedelta(hours=1), lambda back: back),
    (timedelta(days=800), lambda back: timedelta(0)),
]


@pytest.mark.parametrize(("back", "said"), SET_BACK)
def test_a_clock_that_is_set_back_makes_it_wait_no_longer(
    kitchen: Kitchen, slack: Vendor, back: timedelta, said: Callable[[timedelta], timedelta]
) -> None:
    """Three days from then, if that was noticed; a wait that is longer than any may be is, whoever notices it."""
    kitchen.recipe("order.completed", _message(kitchen.connect("slack"), "late", "3 days"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.now -= back
    with transaction(kitchen.engine) as session:
        assert runs.mend_due_times(session, now=kitchen.now, back=said(back)) == 1
    assert kitchen.runs()[0].due_at == kitchen.now + DAYS
    kitchen.later(days=3)
    kitchen.work()
    assert _texts(slack) == ["late"]
