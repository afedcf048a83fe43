"""Lanes: nothing happens in the wrong order, whatever fails on the way."""

from datetime import timedelta

from recipes.models import RunState
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.events.deliveries import sample

pytestmark = both_databases


def _tag(kitchen: Kitchen) -> None:
    connection = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "tag": "customer"}
    kitchen.recipe("order.completed", step("mailchimp", "add_tag", connection, **fields))
    kitchen.recipe("order.refunded", step("mailchimp", "remove_tag", connection, **fields))


def _refund(number: int, amount: float = 64.99) -> dict[str, object]:
    return {
        "order": {"id": f"order_{number}"},
        "refund": {"id": f"re_{number}", "amount": amount, "status": "succeeded"},
        "customer": {"email": "jane@example.com"},
    }


def _statuses(mailchimp: Vendor) -> list[str]:
    calls = mailchimp.seen("POST /lists/{list_id}/members/{subscriber_hash}/tags")
    return [call.get_json()["tags"][0]["status"] for call in calls]


def test_a_late_retry_never_lets_a_buyer_back_in(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The tag's removal waits until its giving has succeeded: the last word is the later event's.

    After a refund in part the sale still stands; one that does not is not tried again, see test_waiting_grants.
    """
    _tag(kitchen)
    mailchimp.script.append(answer({"title": "Too Many Requests"}, 429))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", _refund(1, 5.50))
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING, RunState.QUEUED]
    kitchen.later(minutes=1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert _statuses(mailchimp) == ["active", "active", "inactive"]


def test_events_run_in_the_order_they_occurred_not_in_which_they_came(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Pocketsflow promises no order of delivery; its own time stamp tells. After a refund in part a sale still runs."""
    _tag(kitchen)
    kitchen.later(seconds=10)
    kitchen.deliver("order.refunded", _refund(1, 5.50), occurred_at=NOW + timedelta(seconds=5))
    kitchen.deliver("order.completed", order(1), occurred_at=NOW + timedelta(seconds=1))
    kitchen.work()
    assert _statuses(mailchimp) == ["active", "inactive"]


def test_one_buyers_trouble_does_not_hold_up_another(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Lanes are per buyer."""
    _tag(kitchen)
    mailchimp.script.append(answer({"title": "x"}, 500))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING, RunState.SUCCEEDED]


def test_an_earlier_event_found_late_waits_for_what_is_under_way(kitchen: Kitchen) -> None:
    """Two runs of one lane are never under way together."""
    _tag(kitchen)
    kitchen.later(seconds=10)
    kitchen.deliver("order.refunded", _refund(1, 5.50), occurred_at=NOW + timedelta(seconds=5))
    first = kitchen.claim()
    kitchen.deliver("order.completed", order(1), occurred_at=NOW + timedelta(seconds=1))
    assert kitchen.claim() == []
    kitchen.finish(first)
    assert len(kitchen.claim()) == 1


def test_a_connection_is_given_no_more_calls_at_once_than_it_takes(kitchen: Kitchen) -> None:
    """However many runs are due."""
    _tag(kitchen)
    for number in range(30):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
    first = kitchen.claim()
    assert 0 < len(first) < 30
    assert kitchen.claim() == []


def test_a_start_that_comes_after_its_end_lets_nobody_in(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Deliveries cross: the end has run already when the earlier start arrives. It is kept, with the reason."""
    connection = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "tag": "member"}
    kitchen.recipe("customer.subscription.created", step("mailchimp", "add_tag", connection, **fields))
    kitchen.recipe("customer.subscription.deleted", step("mailchimp", "remove_tag", connection, **fields))
    kitchen.later(minutes=1)
    ended, started = sample("customer.subscription.deleted"), sample("customer.subscription.created")
    kitchen.deliver("customer.subscription.deleted", ended, occurred_at=kitchen.now - timedelta(seconds=1))
    kitchen.work()
    kitchen.deliver("customer.subscription.created", started, occurred_at=kitchen.now - timedelta(seconds=20))
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive"]


def test_a_sale_that_comes_after_its_refund_gives_nothing(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """The tag was taken off already: it must not be put on again. The merchant may run the sale all the same."""
    _tag(kitchen)
    kitchen.deliver("order.refunded", _refund(1))
    kitchen.work()
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive"]
    kitchen.run_late(2)
    kitchen.work()
    assert _statuses(mailchimp) == ["inactive", "active"]
