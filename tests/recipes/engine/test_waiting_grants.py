"""What gives and had to wait is not done any more where the buyer has left since, whatever lane the leaving was on."""

from typing import Any

import pytest
from sqlmodel import select

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import IdentityMemory, RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

TAGS = "POST /lists/{list_id}/members/{subscriber_hash}/tags"
MEMBER = {"audience": "a1", "email": "jane@example.com", "tag": "customer"}
REFUNDED = "This order was refunded on 24 July."
BUSY = answer({"title": "Too Many Requests"}, 429)


def _refund(**more: Any) -> dict[str, Any]:
    refund = {"id": "re_1", "amount": 64.99, "status": "succeeded"}
    return {"order": {"id": "order_1"}, "refund": refund, "customer": {"email": "jane@example.com"}, **more}


def _statuses(mailchimp: Vendor) -> list[str]:
    return [call.get_json()["tags"][0]["status"] for call in mailchimp.seen(TAGS)]


def _outcomes(kitchen: Kitchen) -> list[tuple[str, str]]:
    return [(run.state, run.outcome) for run in kitchen.runs()]


def _grant(kitchen: Kitchen, connection: int) -> None:
    kitchen.recipe("order.completed", step("mailchimp", "add_tag", connection, **MEMBER))


def _revoke(kitchen: Kitchen, connection: int) -> None:
    kitchen.recipe("order.refunded", step("mailchimp", "remove_tag", connection, **MEMBER))


def test_another_connection_has_taken_it_meanwhile(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Two connections to one account are two lanes: the retry would come after the removal."""
    _grant(kitchen, kitchen.connect("mailchimp"))
    _revoke(kitchen, kitchen.connect_as("mailchimp", "the second"))
    mailchimp.script.append(BUSY)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(minutes=1)
    kitchen.work()
    assert _statuses(mailchimp) == ["active", "inactive"]
    assert _outcomes(kitchen)[0] == (RunState.SKIPPED, f"{REFUNDED} It was not tried again.")


def test_an_event_that_names_no_buyer_is_on_another_lane(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The sale has an e-mail, its refund none: what tells is the order's own number."""
    connection = kitchen.connect("mailchimp")
    _grant(kitchen, connection)
    _revoke(kitchen, connection)
    mailchimp.script.append(BUSY)
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("order.refunded", _refund(customer={}))
    kitchen.work()
    kitchen.later(minutes=1)
    kitchen.work()
    assert _statuses(mailchimp) == ["active", "inactive"]


def test_a_later_step_gives_nothing_after_the_first_one_waited(
    kitchen: Kitchen, mailchimp: Vendor, slack: Vendor
) -> None:
    """The message that waited is sent; the tag after it is not. Run again all the same goes on with the tag alone."""
    connection = kitchen.connect("mailchimp")
    message = step("slack", "post_message", kitchen.connect("slack"), channel="C0123456789", text="Sold")
    kitchen.recipe("order.completed", message, step("mailchimp", "add_tag", connection, **MEMBER))
    _revoke(kitchen, connection)
    slack.script.append(answer({"ok": False, "error": "ratelimited"}, 429))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(minutes=1)
    kitchen.work()
    assert len(slack.seen("POST /chat.postMessage")) == 2
    assert _statuses(mailchimp) == ["inactive"]
    assert _outcomes(kitchen)[0] == (RunState.SUCCEEDED, f"{REFUNDED} Nothing was given.")
    with pytest.raises(runs.UndoneSince):
        kitchen.run_again(1)
    kitchen.run_again(1, all_the_same=True)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED] * 2
    assert len(slack.seen("POST /chat.postMessage")) == 2
    assert _statuses(mailchimp) == ["inactive", "active"]


def test_what_a_paused_connection_held_gives_nothing(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Reconnected after the refund ran elsewhere. A sale that stands is given."""
    held = kitchen.connect("mailchimp")
    _grant(kitchen, held)
    _revoke(kitchen, kitchen.connect_as("mailchimp", "the second"))
    mailchimp.script.append(answer({"title": "API Key Invalid"}, 401))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.deliver("order.refunded", _refund())
    kitchen.work()
    kitchen.later(hours=2)
    mailchimp.calls.clear()
    kitchen.release(held)
    kitchen.work()
    assert _statuses(mailchimp) == ["active"]
    assert sorted(kitchen.states()) == [RunState.SKIPPED, RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_a_memory_that_makes_no_sense_holds_its_own_run_alone(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """A claim is for all: were it to fail, nothing would be done for anyone any more. The merchant decides."""
    _grant(kitchen, kitchen.connect("mailchimp"))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", _refund())
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    with transaction(kitchen.engine) as session:
        memory = session.exec(select(IdentityMemory).where(IdentityMemory.about.contains("order_1"))).one()  # type: ignore[attr-defined]
        memory.memory = {**memory.memory, "refunded_at": "the other day"}
    kitchen.later(minutes=1)
    kitchen.work()
    assert kitchen.states() == [RunState.UNSURE, RunState.SUCCEEDED]
    assert _outcomes(kitchen)[0][1].startswith("We cannot tell whether the buyer still has a right to this, so nothing")
    assert _statuses(mailchimp) == ["active"]
    with pytest.raises(runs.UndoneSince, match="We cannot tell whether this was undone since"):
        kitchen.run_again(1)
    kitchen.run_again(1, all_the_same=True)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED] * 2


@pytest.mark.parametrize("way", ["run again", "run late"])
def test_the_merchants_word_outlasts_a_retry(kitchen: Kitchen, mailchimp: Vendor, way: str) -> None:
    """Whoever said "all the same" is not asked a second time because the service was busy."""
    _grant(kitchen, kitchen.connect("mailchimp"))
    if way == "run again":
        kitchen.deliver("order.completed", order(1))
        kitchen.work()
        kitchen.deliver("order.refunded", _refund())
        kitchen.run_again(1, all_the_same=True)
    else:
        kitchen.deliver("order.refunded", _refund())
        kitchen.deliver("order.completed", order(1))
        kitchen.later(hours=1)
        kitchen.run_late(2)
    mailchimp.script.append(BUSY)
    kitchen.work()
    kitchen.later(minutes=1)
    kitchen.work()
    assert kitchen.states()[-1] == RunState.SUCCEEDED
    assert _statuses(mailchimp)[-2:] == ["active", "active"]


def test_a_word_given_before_anything_was_undone_lets_nobody_in(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """It was about what the merchant could see then."""
    _grant(kitchen, kitchen.connect("mailchimp"))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.run_again(1, all_the_same=True)
    mailchimp.script.append(BUSY)
    kitchen.work()
    kitchen.deliver("order.refunded", _refund())
    kitchen.later(minutes=1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.SKIPPED]
