"""A run's life: what is called, how often, and how it ends."""

from datetime import timedelta

import pytest
from werkzeug.wrappers import Response

from recipes.db import transaction
from recipes.models import Recipe, RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

REFUSED = {"ok": False, "error": "channel_not_found"}
REVOKED = {"ok": False, "error": "token_revoked"}


def _post(kitchen: Kitchen, text: str = "Sold to {{ buyer.email }}") -> None:
    kitchen.recipe(
        "order.completed",
        step("slack", "post_message", kitchen.connect("slack"), channel="C0123456789", text=text),
    )


def _subscribe(kitchen: Kitchen, connection: int | None = None) -> int:
    connection = connection or kitchen.connect("mailchimp")
    fields = {"audience": "a1b2c3", "email": "{{ buyer.email }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", connection, **fields))
    return connection


def test_an_event_runs_each_recipe_that_is_on_once(kitchen: Kitchen, slack: Vendor) -> None:
    """However often the engine looks."""
    _post(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.work()
    [call] = slack.seen("POST /chat.postMessage")
    assert "jane@example.com" in call.get_data(as_text=True)
    [run] = kitchen.runs()
    assert run.state == RunState.SUCCEEDED
    assert run.finished_at == kitchen.now
    [attempt] = kitchen.attempts()
    assert (attempt.result, attempt.number) == ("succeeded", 1)
    assert attempt.request["text"] == "Sold to jane@example.com"


def test_what_came_before_a_recipe_was_on_is_not_run(kitchen: Kitchen) -> None:
    """Switching on says what happens from now on."""
    kitchen.deliver("order.completed", order(1))
    kitchen.later(seconds=1)
    _post(kitchen)
    kitchen.work()
    assert kitchen.runs() == []


def test_conditions_that_do_not_match_skip_the_run_and_say_why(kitchen: Kitchen, slack: Vendor) -> None:
    """Filtered is an outcome of its own, with the condition's sentence; no call is made."""
    target = step("slack", "post_message", kitchen.connect("slack"), channel="C0123456789", text="Big sale")
    kitchen.recipe(
        "order.completed", target, conditions=[{"fact": "order.amount", "operator": "at_least", "value": "100"}]
    )
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    [run] = kitchen.runs()
    assert run.state == RunState.SKIPPED
    assert "100" in run.outcome
    assert slack.calls == []


def test_a_refusal_ends_the_run_with_the_reason(kitchen: Kitchen, slack: Vendor) -> None:
    """Permanent: one call, no retry, and the lane moves on."""
    _post(kitchen)
    slack.script.append(answer(REFUSED))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED, RunState.SUCCEEDED]
    assert kitchen.runs()[0].outcome


def test_a_busy_service_is_tried_again_as_it_asked(kitchen: Kitchen, slack: Vendor) -> None:
    """Retry-After holds for the whole connection: other buyers' runs do not knock either."""
    _post(kitchen)
    slack.script.append(answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "40"}))
    kitchen.deliver("order.completed", order(1))
    [performed] = kitchen.turn()
    assert performed.rest_until == kitchen.now + timedelta(seconds=40)
    assert performed.claimed.connection_id is not None
    kitchen.limits.rest(performed.claimed.connection_id, performed.rest_until)
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.later(seconds=39)
    assert kitchen.turn() == []
    kitchen.later(seconds=1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert [attempt.number for attempt in kitchen.attempts() if attempt.run_id == kitchen.runs()[0].id] == [1, 2]


def test_retries_follow_the_schedule_and_end(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """A repeatable action is simply repeated; after the last try the run fails and says so."""
    _subscribe(kitchen)
    mailchimp.answers["PUT /lists/{list_id}/members/{subscriber_hash}"] = answer({"title": "x"}, 500)
    kitchen.deliver("order.completed", order(1))
    waits = []
    while kitchen.turn():
        run = kitchen.runs()[0]
        if run.state != RunState.WAITING:
            break
        waits.append(run.due_at - kitchen.now)
        kitchen.now = run.due_at
    assert waits == [
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(hours=1),
        timedelta(hours=3),
        timedelta(hours=6),
        timedelta(hours=12),
        timedelta(hours=24),
    ]
    assert kitchen.states() == [RunState.FAILED]
    assert len(kitchen.attempts()) == 10


def test_refused_credentials_pause_the_connection_and_hold_its_runs(kitchen: Kitchen, slack: Vendor) -> None:
    """None fails; another connection goes on; reconnected, all resume in the order of their events."""
    _post(kitchen)
    _subscribe(kitchen)
    slack.script.append(answer(REVOKED))
    for number in (1, 2, 3):
        kitchen.deliver("order.completed", order(number))
        kitchen.later(seconds=1)
    kitchen.work()
    held = [run for run in kitchen.runs() if run.state == RunState.HELD]
    assert [run.event_id for run in held] == [1, 2, 3]
    assert held[0].attempt == 0
    assert [run.state for run in kitchen.runs() if run not in held] == [RunState.SUCCEEDED] * 3
    kitchen.deliver("order.completed", order(4))
    kitchen.work()
    assert kitchen.states().count(RunState.HELD) == 4
    assert held[0].connection_id is not None
    assert kitchen.release(held[0].connection_id) == 4
    kitchen.work()
    assert set(kitchen.states()) == {RunState.SUCCEEDED}
    assert len(slack.seen("POST /chat.postMessage")) == 5


def test_a_call_that_may_have_happened_is_not_repeated_by_itself(kitchen: Kitchen, slack: Vendor) -> None:
    """The message may be posted: Slack is asked; if it cannot tell, the merchant is."""
    _post(kitchen)
    slack.script.append(slack.drop)
    slack.answers["POST /conversations.history"] = answer({"ok": False, "error": "missing_scope"})
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING]
    kitchen.later(seconds=5)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE]
    kitchen.later(days=3)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE]
    assert len(slack.seen("POST /chat.postMessage")) == 1


def test_a_repeatable_call_that_may_have_happened_is_repeated(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Adding a subscriber twice is adding one."""
    _subscribe(kitchen)
    mailchimp.script.append(mailchimp.drop)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(seconds=5)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert len(mailchimp.seen("PUT /lists/{list_id}/members/{subscriber_hash}")) == 2


def test_the_merchant_has_the_last_word_on_an_unsure_run(kitchen: Kitchen, slack: Vendor) -> None:
    """Mark done: nothing more is sent. Run again: it is."""
    _post(kitchen)
    slack.answers["POST /conversations.history"] = answer({"ok": False, "error": "missing_scope"})
    posted = slack.answers["POST /chat.postMessage"]
    slack.answers["POST /chat.postMessage"] = slack.drop
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.work()
    kitchen.later(seconds=5)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE, RunState.UNSURE]
    slack.answers["POST /chat.postMessage"] = posted
    first, second = kitchen.runs()
    kitchen.mark_done(first.id)
    kitchen.run_again(second.id)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert len(slack.seen("POST /chat.postMessage")) == 3


def test_an_empty_required_field_fails_without_a_call(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The sentence names the field."""
    connection = kitchen.connect("mailchimp")
    fields = {"audience": "a1b2c3", "email": "{{ payload.metadata.mail }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", connection, **fields))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    [run] = kitchen.runs()
    assert run.state == RunState.FAILED
    assert "E-mail address" in run.outcome
    assert mailchimp.calls == []


def test_steps_follow_one_another_and_a_failed_one_is_resumed_there(
    kitchen: Kitchen, slack: Vendor, mailchimp: Vendor
) -> None:
    """Running again after a failure in the second step does not do the first one twice."""
    kitchen.recipe(
        "order.completed",
        step("mailchimp", "add_subscriber", kitchen.connect("mailchimp"), audience="a1", email="{{ buyer.email }}"),
        step("slack", "post_message", kitchen.connect("slack"), channel="C0123456789", text="Hello"),
    )
    slack.script.append(answer(REFUSED))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    [run] = kitchen.runs()
    assert (run.state, run.step) == (RunState.FAILED, 1)
    kitchen.run_again(run.id)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert len(mailchimp.seen("PUT /lists/{list_id}/members/{subscriber_hash}")) == 1
    assert len(slack.seen("POST /chat.postMessage")) == 2


def test_running_a_finished_run_again_is_a_run_of_its_own(kitchen: Kitchen, slack: Vendor) -> None:
    """The first one's history stays."""
    _post(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.run_again(kitchen.runs()[0].id)
    kitchen.work()
    assert [(run.again, run.state) for run in kitchen.runs()] == [(0, "succeeded"), (1, "succeeded")]
    assert len(slack.seen("POST /chat.postMessage")) == 2


def test_a_cancelled_run_is_not_done(kitchen: Kitchen, slack: Vendor) -> None:
    """And the lane moves on."""
    _post(kitchen)
    slack.script.append(Response(status=429))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING, RunState.QUEUED]
    kitchen.cancel(kitchen.runs()[0].id)
    kitchen.work()
    assert kitchen.states() == [RunState.CANCELLED, RunState.SUCCEEDED]


def test_editing_a_recipe_does_not_change_what_is_under_way(kitchen: Kitchen, slack: Vendor) -> None:
    """A run keeps the version it began with."""
    _post(kitchen, "old text")
    kitchen.deliver("order.completed", order(1))
    [claimed] = kitchen.claim()
    with transaction(kitchen.engine) as session:
        session.get_one(Recipe, 1).enabled = False
    kitchen.finish([claimed])
    assert "old text" in slack.calls[0].get_data(as_text=True)


@pytest.mark.parametrize("secret", ["xoxb-1234567890-abcdef"])
def test_no_secret_reaches_the_run_log(kitchen: Kitchen, slack: Vendor, secret: str) -> None:
    """Attempts keep what was sent and answered, never credentials."""
    _post(kitchen)
    slack.script.append(answer({"ok": False, "error": f"leaked {secret}"}))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kept = "".join(f"{a.outcome}{a.request}{a.answer}" for a in kitchen.attempts()) + kitchen.runs()[0].outcome
    assert secret not in kept


def test_a_recipe_whose_service_is_gone_fails_with_a_sentence(kitchen: Kitchen) -> None:
    """It keeps neither its lane nor other recipes waiting."""
    kitchen.recipe("order.completed", step("fax", "send", None))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    [run] = kitchen.runs()
    assert run.state == RunState.FAILED
    assert "fax" in run.outcome


def test_absurd_answers_do_not_keep_a_run_for_ever(kitchen: Kitchen, slack: Vendor) -> None:
    """A wait of ages and half a character: the run waits at most a day, the connection rests at most an hour."""
    _post(kitchen)
    slack.script.append(answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "9999999"}))
    slack.script.append(answer({"ok": False, "error": "odd \ud800\0"}))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    performed = kitchen.turn()
    rests = [each.rest_until for each in performed if each.rest_until]
    assert rests == [kitchen.now + timedelta(hours=1)]
    assert kitchen.states() == [RunState.WAITING, RunState.WAITING]
    assert max(run.due_at for run in kitchen.runs()) <= kitchen.now + timedelta(hours=24)
