"""What a run's page says of its tries, and of what it waits for."""

from datetime import timedelta

from recipes import ledger
from recipes.db import reading
from tests.conftest import both_databases
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]


def _post(kitchen: Kitchen) -> int:
    number = kitchen.connect("slack")
    kitchen.recipe("order.completed", step("slack", "post_message", number, channel="C0123456789", text="Sold"))
    return number


def _detail(kitchen: Kitchen, run_id: int) -> ledger.RunDetail:
    with reading(kitchen.engine) as session:
        detail = ledger.run_detail(session, kitchen.endpoint.merchant_id, run_id)
    assert detail is not None
    return detail


def test_tries_are_numbered_through(kitchen: Kitchen, slack: Vendor) -> None:
    """Also past a reconnect, which counts for no try of the schedule, and past Run again, which begins it anew."""
    connection = _post(kitchen)
    slack.script += [
        answer({"ok": False, "error": "ratelimited"}, 429),
        answer({"ok": False, "error": "token_revoked"}),
        answer({"ok": False, "error": "is_archived"}),
    ]
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    kitchen.later(seconds=5)
    kitchen.work()
    kitchen.release(connection)
    kitchen.work()
    kitchen.run_again(1)
    kitchen.work()
    tries = [(each.number, each.result_words) for each in _detail(kitchen, 1).attempts]
    assert tries == [(1, "to be tried again"), (2, "not let in"), (3, "refused"), (4, "done")]


def test_a_run_whose_service_asked_for_a_rest_says_so(kitchen: Kitchen, slack: Vendor) -> None:
    """Whose limit it is and until when, though another run met it; and no more once that has gone."""
    connection = _post(kitchen)
    slack.script.append(answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "40"}))
    kitchen.deliver("order.completed", order(1))
    kitchen.turn()
    until = kitchen.now + timedelta(seconds=40)
    kitchen.limits.rest(connection, until)
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.later(seconds=10)
    assert kitchen.turn() == []
    rest = _detail(kitchen, 2).rest
    assert rest is not None
    assert (rest.sentence, rest.until) == ("Slack asked us to slow down.", until)
    assert _detail(kitchen, 1).rest is None
    kitchen.later(seconds=30)
    kitchen.work()
    assert _detail(kitchen, 2).rest is None
