"""What is in doubt is looked for, and what the look shows is done on; nothing is doubled for what it cannot show."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, by_our_clock, order
from tests.recipes.engine.test_recovery import EMPTY, lose_a_post, post

pytestmark = both_databases


def test_a_look_that_fails_does_not_end_what_was_interrupted(kitchen: Kitchen, slack: Vendor) -> None:
    """The engine that stands still in its call may send it after the other has looked: the merchant has to say."""
    post(kitchen)
    slack.answers["POST /conversations.history"] = by_our_clock(kitchen, EMPTY)
    kitchen.deliver("order.completed", order(1))
    [claimed] = kitchen.claim()

    def stands_still_right_after() -> bool:
        is_held = kitchen.holds(claimed)
        kitchen.later(minutes=5)
        assert kitchen.recover() == 1
        kitchen.lease = "second-engine"
        slack.script.append(slack.drop)
        for _ in range(4):
            kitchen.work()
            kitchen.later(minutes=3)
        return is_held

    kitchen.perform(claimed, stands_still_right_after)
    assert len(slack.seen("POST /chat.postMessage")) == 1
    assert kitchen.states() == [RunState.UNSURE]


def test_a_try_that_was_interrupted_after_another_that_was_lost(kitchen: Kitchen, slack: Vendor) -> None:
    """It had looked for the first one, and may have posted since, or post yet."""
    lose_a_post(kitchen, slack, slack.drop)
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.later(minutes=3)
    assert len(kitchen.claim()) == 1
    kitchen.recover(only_lease="second-engine")
    slack.script.append(slack.drop)
    for _ in range(3):
        kitchen.work()
        kitchen.later(hours=1)
    assert kitchen.states() == [RunState.UNSURE]
    assert len(slack.seen("POST /chat.postMessage")) == 1


def test_a_look_that_fails_is_no_try_that_may_have_posted(kitchen: Kitchen, slack: Vendor) -> None:
    """It is where the two minutes begin after which what is not there is done."""
    post(kitchen)
    slack.answers["POST /conversations.history"] = by_our_clock(kitchen, EMPTY)
    slack.script += [slack.drop, slack.drop]
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(seconds=5)
    kitchen.work()
    assert [attempt.result for attempt in kitchen.attempts()] == ["unsure", "temporary"]
    kitchen.later(minutes=2)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_an_engine_that_stood_still_in_its_look_does_nothing_on_its_word(kitchen: Kitchen, slack: Vendor) -> None:
    """What it was told is old: another had the run meanwhile, and the merchant's word, and posted."""
    post(kitchen)
    slack.script += [answer("", 500), by_our_clock(kitchen, EMPTY)]
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.later(minutes=3)
    [claimed] = kitchen.claim()

    def stands_still(request: Request) -> Response:
        slack.answers["POST /conversations.history"] = by_our_clock(kitchen, EMPTY)
        kitchen.later(minutes=5)
        kitchen.lease = "second-engine"
        assert kitchen.recover() == 1
        kitchen.work()
        kitchen.run_again(claimed.run_id)
        kitchen.work()
        assert kitchen.states() == [RunState.SUCCEEDED]
        return by_our_clock(kitchen, EMPTY)(request)

    slack.answers["POST /conversations.history"] = stands_still
    performed = kitchen.perform(claimed, lambda: kitchen.holds(claimed))
    assert len(slack.seen("POST /chat.postMessage")) == 2
    kitchen.settle([performed])
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_what_is_handed_back_after_a_look_is_in_doubt_still(kitchen: Kitchen, slack: Vendor) -> None:
    """Nothing was sent, and whether the earlier try was is as open as before: it is looked for again, and done then."""
    lose_a_post(kitchen, slack, answer("", 500))
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.later(minutes=3)
    [claimed] = kitchen.claim()
    held = iter([True, False])
    kitchen.settle([kitchen.perform(claimed, lambda: next(held))])
    [run] = kitchen.runs()
    assert (run.state, run.doubt, len(slack.seen("POST /chat.postMessage"))) == (RunState.QUEUED, True, 1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert (len(slack.seen("POST /conversations.history")), len(slack.seen("POST /chat.postMessage"))) == (3, 2)


class _Channel:
    """A channel that shows what was posted after `oldest`, by its own clock; the first post's answer is lost."""

    def __init__(self, slack: Vendor, clock: Callable[[], datetime]) -> None:
        self.posted: list[dict[str, Any]] = []
        self._slack, self._clock = slack, clock
        slack.answers |= {"POST /chat.postMessage": self._post, "POST /conversations.history": self._history}

    def _post(self, request: Request) -> Response:
        message = {"ts": str(self._clock().timestamp()), "bot_id": "B1", "metadata": request.json["metadata"]}
        self.posted.append(message)
        return answer({"ok": True}) if len(self.posted) > 1 else self._slack.drop(request)

    def _history(self, request: Request) -> Response:
        oldest = float(request.form["oldest"])
        shown = [message for message in self.posted if float(message["ts"]) > oldest]
        date = format_datetime(self._clock(), usegmt=True)
        return answer(EMPTY | {"messages": shown}, headers={"Date": date})


@pytest.mark.parametrize(("fast", "state"), [(0, RunState.SUCCEEDED), (1, RunState.UNSURE)])
def test_a_message_that_a_fast_clock_looks_past_is_not_posted_again(
    kitchen: Kitchen, slack: Vendor, fast: int, state: RunState
) -> None:
    """It is older than all that is asked for: the merchant has to say."""
    post(kitchen)
    channel = _Channel(slack, lambda: kitchen.now - timedelta(hours=fast))
    kitchen.deliver("order.completed", order(1))
    for _ in range(4):
        kitchen.work()
        kitchen.later(minutes=3)
    assert (kitchen.states(), len(channel.posted)) == ([state], 1)


def test_a_clock_that_is_set_forward_makes_no_look_a_late_one(kitchen: Kitchen, slack: Vendor) -> None:
    """Seconds after the post, by Slack's clock, its message may be on its way still."""
    lose_a_post(kitchen, slack, slack.drop)
    kitchen.later(hours=1)
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING]
    assert len(slack.seen("POST /chat.postMessage")) == 1
    kitchen.later(minutes=2)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_a_clock_that_was_set_back_since_the_event_looks_past_its_message(kitchen: Kitchen, slack: Vendor) -> None:
    """Even if the first look that succeeds comes once the clock shows the event's time again."""
    kitchen.later(hours=1)
    post(kitchen)
    channel = _Channel(slack, lambda: kitchen.now)
    kitchen.deliver("order.completed", order(1))
    kitchen.later(hours=-1)
    with transaction(kitchen.engine) as session:
        runs.mend_due_times(session, now=kitchen.now, back=timedelta(hours=1))
    kitchen.work()
    slack.script.append(answer("", 500))
    kitchen.later(minutes=1)
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING]
    for _ in range(3):
        kitchen.later(hours=2)
        kitchen.work()
    assert (kitchen.states(), len(channel.posted)) == ([RunState.UNSURE], 1)


def test_a_message_of_another_installation_is_not_taken_for_ours(kitchen: Kitchen, slack: Vendor) -> None:
    """Or of this one before its database was begun anew: in the same channel, with the same numbers of run and step."""
    post(kitchen)
    slack.script += [answer({"ok": True}), slack.drop]
    kitchen.deliver("order.completed", order(1))
    [claimed] = kitchen.claim()
    theirs = replace(claimed, received_at=claimed.received_at - timedelta(microseconds=1))
    kitchen.perform(theirs)
    kitchen.finish([claimed])
    [their_mark, _] = [call.json["metadata"] for call in slack.seen("POST /chat.postMessage")]
    message = {"ts": "1.2", "bot_id": "B2", "metadata": their_mark}
    slack.answers["POST /conversations.history"] = by_our_clock(kitchen, EMPTY | {"messages": [message]})
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.later(minutes=3)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert len(slack.seen("POST /chat.postMessage")) == 3


def test_the_longest_key_is_as_short_as_services_take_it(kitchen: Kitchen, slack: Vendor) -> None:
    """And the same at every try."""
    post(kitchen)
    kitchen.deliver("order.completed", order(1))
    [claimed] = kitchen.claim()
    for _ in range(2):
        kitchen.perform(replace(claimed, run_id=2**63 - 1))
        kitchen.later(minutes=1)
    first, second = (call.json["metadata"]["event_payload"]["key"] for call in slack.seen("POST /chat.postMessage"))
    assert re.fullmatch("[a-z0-9-]{50,64}", first)
    assert first == second
