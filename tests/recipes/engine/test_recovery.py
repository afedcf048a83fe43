"""An engine that died: what it had under way goes on, and nothing is done twice without a word."""

from recipes.engine.recovering import MOST_INTERRUPTIONS
from recipes.models import RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Answer, Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, by_our_clock, order, step

pytestmark = both_databases


def post(kitchen: Kitchen) -> None:
    fields = {"channel": "C0123456789", "text": "Sold"}
    kitchen.recipe("order.completed", step("slack", "post_message", kitchen.connect("slack"), **fields))


def _subscribe(kitchen: Kitchen) -> None:
    fields = {"audience": "a1", "email": "{{ buyer.email }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", kitchen.connect("mailchimp"), **fields))


def test_a_repeatable_step_is_tried_again(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """And the interrupted try is on record."""
    _subscribe(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    kitchen.lease = "second-engine"
    assert kitchen.recover(only_lease="second-engine") == 1
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert [attempt.result for attempt in kitchen.attempts()] == ["interrupted", "succeeded"]


def test_a_try_that_is_interrupted_again_and_again_is_the_merchants(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """It may be what ends the engine: the lane goes on without it. Asked for again, it has as many tries as before."""
    _subscribe(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2))
    for _ in range(MOST_INTERRUPTIONS - 1):
        _die_in_the_middle(kitchen)
        assert kitchen.states() == [RunState.QUEUED] * 2
    _die_in_the_middle(kitchen)
    assert kitchen.states() == [RunState.UNSURE, RunState.QUEUED]
    [first, _] = kitchen.runs()
    assert first.outcome.startswith("We stopped 5 times in a row")
    kitchen.run_again(first.id)
    for _ in range(MOST_INTERRUPTIONS - 1):
        _die_in_the_middle(kitchen)
        assert kitchen.states() == [RunState.QUEUED] * 2
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED] * 2


def _die_in_the_middle(kitchen: Kitchen) -> None:
    assert len(kitchen.claim()) == 1
    assert kitchen.recover(only_lease="the next engine") == 1


def test_any_other_step_is_done_or_unsure_never_doubled(kitchen: Kitchen, slack: Vendor) -> None:
    """The message may be out: Slack is asked before it is posted again; as it cannot tell, the merchant is."""
    post(kitchen)
    slack.answers["POST /conversations.history"] = answer({"ok": False, "error": "missing_scope"})
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    kitchen.recover(only_lease="second-engine")
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE]
    assert slack.seen("POST /chat.postMessage") == []


def test_a_service_that_is_busy_or_away_is_asked_again_whether_it_was_done(kitchen: Kitchen, slack: Vendor) -> None:
    """The message is there and Slack can tell: the merchant need not look only because it could not tell at once."""
    post(kitchen)
    mark = {"event_type": "pocketwire", "event_payload": {"key": f"pocketwire-1-0-{kitchen.now:%Y%m%d%H%M%S%f}"}}
    found = answer({"ok": True, "messages": [{"ts": "1.2", "metadata": mark}]})
    slack.script += [answer({"ok": False, "error": "ratelimited"}, 429), slack.drop, found]
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    kitchen.recover(only_lease="second-engine")
    for _ in range(2):
        kitchen.work()
        assert kitchen.states() == [RunState.WAITING]
        kitchen.later(hours=1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert slack.seen("POST /chat.postMessage") == []


EMPTY = {"ok": True, "messages": [], "has_more": False}


def lose_a_post(kitchen: Kitchen, slack: Vendor, how: Answer) -> None:
    """A sale is posted, and lost on the way: its channel stays empty."""
    post(kitchen)
    slack.answers["POST /conversations.history"] = by_our_clock(kitchen, EMPTY)
    slack.script.append(how)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()


def test_what_slack_shows_as_not_posted_is_posted_by_itself(kitchen: Kitchen, slack: Vendor) -> None:
    """It answered 500, and the message is not there minutes later: nobody has to look. Not posted before that."""
    lose_a_post(kitchen, slack, answer("", 500))
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.later(seconds=110)
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING]
    assert "It has not arrived so far." in kitchen.runs()[0].outcome
    assert len(slack.seen("POST /chat.postMessage")) == 1
    kitchen.later(seconds=10)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert len(slack.seen("POST /chat.postMessage")) == 2


def test_what_is_not_posted_again_and_again_ends_with_the_merchant(kitchen: Kitchen, slack: Vendor) -> None:
    """Each go waits for longer, and there are five."""
    post(kitchen)
    slack.answers |= {
        "POST /conversations.history": by_our_clock(kitchen, EMPTY),
        "POST /chat.postMessage": answer("", 500),
    }
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    while kitchen.states() == [RunState.WAITING]:
        kitchen.now = kitchen.runs()[0].due_at
        kitchen.work()
    assert kitchen.states() == [RunState.UNSURE]
    assert len(slack.seen("POST /chat.postMessage")) == 5


def test_what_slack_refuses_after_it_was_not_posted_has_failed(kitchen: Kitchen, slack: Vendor) -> None:
    """There is no doubt left: nothing was done."""
    post(kitchen)
    nothing = by_our_clock(kitchen, EMPTY)
    slack.script += [slack.drop, nothing, nothing, answer({"ok": False, "error": "is_archived"})]
    kitchen.deliver("order.completed", order(1))
    for _ in range(3):
        kitchen.work()
        kitchen.later(minutes=3)
    assert kitchen.states() == [RunState.FAILED]


def test_what_was_interrupted_may_be_under_way_still(kitchen: Kitchen, slack: Vendor) -> None:
    """An engine that stood still may send it yet: that it is not there tells nothing."""
    post(kitchen)
    slack.answers["POST /conversations.history"] = by_our_clock(kitchen, EMPTY)
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    kitchen.recover(only_lease="second-engine")
    kitchen.later(days=1)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE]
    assert slack.seen("POST /chat.postMessage") == []


def test_a_look_that_never_succeeds_ends_with_the_merchant(kitchen: Kitchen, slack: Vendor) -> None:
    """Not as failed, which would say that nothing was done."""
    post(kitchen)
    slack.answers["POST /conversations.history"] = slack.drop
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    kitchen.recover(only_lease="second-engine")
    for _ in range(10):
        kitchen.work()
        kitchen.later(days=2)
    assert kitchen.states() == [RunState.UNSURE]
    assert slack.seen("POST /chat.postMessage") == []


def test_leases_end_by_themselves_and_a_live_engine_keeps_its_own(kitchen: Kitchen) -> None:
    """Among several engines only time tells which are dead."""
    _subscribe(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    assert kitchen.recover() == 0
    kitchen.later(seconds=90)
    kitchen.extend()
    kitchen.later(seconds=90)
    assert kitchen.recover() == 0
    kitchen.later(seconds=60)
    assert kitchen.recover() == 1


def test_a_result_that_comes_too_late_changes_nothing(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The run was taken over: the first engine's answer is recorded, the run is the second's."""
    _subscribe(kitchen)
    kitchen.deliver("order.completed", order(1))
    late = kitchen.claim()
    kitchen.lease = "second-engine"
    kitchen.recover(only_lease="second-engine")
    [taken_over] = kitchen.claim()
    kitchen.finish(late)
    assert kitchen.states() == [RunState.RUNNING]
    kitchen.finish([taken_over])
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_two_answers_for_one_engine_do_not_settle_each_others_step(kitchen: Kitchen, slack: Vendor) -> None:
    """It stood still, was given anew what was taken from it, and its first call comes back: nothing is posted twice."""
    fields = {"channel": "C0123456789"}
    slack_steps = [step("slack", "post_message", kitchen.connect("slack"), text=text, **fields) for text in "ab"]
    kitchen.recipe("order.completed", *slack_steps)
    kitchen.deliver("order.completed", order(1))
    first = kitchen.claim()
    kitchen.later(minutes=3)
    assert kitchen.recover() == 1
    second = kitchen.claim()
    kitchen.finish(first)
    assert [(run.state, run.step) for run in kitchen.runs()] == [(RunState.RUNNING, 0)]
    assert kitchen.claim() == []
    kitchen.finish(second)
    kitchen.work()
    assert [(run.state, run.step) for run in kitchen.runs()] == [(RunState.UNSURE, 0)]
    assert len(slack.seen("POST /chat.postMessage")) == 1


def test_an_engine_claims_no_run_that_it_still_has_a_call_out_for(kitchen: Kitchen) -> None:
    """It was taken from it: others may have it, and what is on other lanes goes past it."""
    _subscribe(kitchen)
    kitchen.deliver("order.completed", order(1))
    [out] = kitchen.claim()
    kitchen.later(minutes=3)
    assert kitchen.recover() == 1
    kitchen.deliver("order.completed", order(2))
    kitchen.deliver("order.completed", order(3, "joe@example.com"))
    assert [each.event_id for each in kitchen.claim(limit=1, still_out=[out.run_id])] == [3]
    kitchen.lease = "second-engine"
    assert [each.run_id for each in kitchen.claim()] == [out.run_id]
