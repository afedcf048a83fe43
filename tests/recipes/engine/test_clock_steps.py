"""The clock of the machine is set back or forward while runs wait: none is lost, doubled or forgotten for a day."""

from datetime import timedelta

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import RunState
from recipes.policy import SCHEDULE
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

DAY = timedelta(days=1)


def _subscribe(kitchen: Kitchen) -> int:
    connection = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", connection, **fields))
    return connection


def _mend(kitchen: Kitchen, back: timedelta = timedelta(0)) -> int:
    with transaction(kitchen.engine) as session:
        return runs.mend_due_times(session, now=kitchen.now, back=back)


def test_what_is_queued_does_not_wait_for_the_old_time(kitchen: Kitchen) -> None:
    """Due at once, whatever the clock said when it was queued."""
    _subscribe(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(limit=0)
    kitchen.now -= DAY
    assert kitchen.claim() == []
    assert _mend(kitchen) == 1
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_a_retry_waits_as_long_as_it_was_to(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Five seconds, not a day and five; if nobody saw the clock being set, the longest of all waits at most."""
    _subscribe(kitchen)
    mailchimp.script += [answer({}, 500)] * 2
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.now -= DAY
    assert _mend(kitchen, back=DAY) == 1
    assert kitchen.runs()[0].due_at == kitchen.now + SCHEDULE[0]
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.now -= 300 * DAY
    assert _mend(kitchen) == 1
    assert kitchen.runs()[0].due_at == kitchen.now + SCHEDULE[-1] * 1.2
    assert _mend(kitchen) == 0


def test_limits_follow_a_clock_that_is_set_back(kitchen: Kitchen) -> None:
    """A minute that is full, and a rest that was asked for, end when they were to."""
    limits, now = runs.Limits(), kitchen.now
    limits.rest(1, now + timedelta(seconds=30))
    limits.called(2, "discord", 1, now)
    room = limits.room(2, "discord", {}, now)
    assert limits.room(1, "slack", {}, now) == 0
    now -= DAY
    assert limits.room(1, "slack", {}, now) == 0
    assert limits.room(2, "discord", {}, now) == room
    now += timedelta(seconds=61)
    assert limits.room(1, "slack", {}, now) > 0
    assert limits.room(2, "discord", {}, now) >= room
