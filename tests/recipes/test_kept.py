"""What comes while a recipe is off, a connection is paused or a store is suspended: kept, and run in its order."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select

from recipes import cookbook
from recipes import engine as runs
from recipes.cookbook import CookbookError
from recipes.db import reading, transaction
from recipes.models import LedgerRow, Merchant, OffPeriod, Origin, Recipe, RunsOn, RunState
from recipes.vault import Vault
from tests.conftest import both_databases
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.events.deliveries import sample

pytestmark = both_databases

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]

LEDGER = "order.completed/ledger-row"
DONE, LEFT_OUT = RunState.SUCCEEDED, RunState.CANCELLED


class Shop:
    """A merchant with the shipped Ledger recipe, who switches it on and off."""

    def __init__(self, kitchen: Kitchen, vault: Vault, name: str = LEDGER) -> None:
        self.kitchen = kitchen
        self.mine = kitchen.endpoint.merchant_id
        with transaction(kitchen.engine) as session:
            draft = cookbook.draft_from_prebuilt(session, self.mine, name)
            assert draft is not None
            saved = cookbook.save(session, vault, self.mine, draft, by="ada@example.com", now=kitchen.now)
        assert saved.id is not None
        self.recipe_id = saved.id

    def on(self) -> cookbook.KeptEvents:
        """Switches it on a minute later; what is said of what came before."""
        self.kitchen.later(minutes=1)
        with transaction(self.kitchen.engine) as session:
            cookbook.enable(session, self.mine, self.recipe_id, self.kitchen.now)
        return self.kept()

    def off(self, *, cancel_waiting: bool = False) -> None:
        """Switches it off a minute later."""
        self.kitchen.later(minutes=1)
        with transaction(self.kitchen.engine) as session:
            cookbook.disable(session, self.mine, self.recipe_id, self.kitchen.now, cancel_waiting=cancel_waiting)

    def sell(self, *numbers: int, **more: Any) -> None:
        """Sales, a minute apart."""
        for number in numbers:
            self.kitchen.later(minutes=1)
            self.kitchen.deliver("order.completed", order(number), occurred_at=self.kitchen.now, **more)

    def kept(self) -> cookbook.KeptEvents:
        """What the recipe's page says."""
        with reading(self.kitchen.engine) as session:
            return cookbook.kept_events(session, self.mine, self.recipe_id, self.kitchen.now)

    def decide(self, ask: Callable[..., str] = cookbook.run_kept) -> str:
        """The merchant's word."""
        with transaction(self.kitchen.engine) as session:
            return ask(session, self.mine, self.recipe_id, self.kitchen.now)

    def make(self, limit: int = 100) -> int:
        """A part of what was asked for."""
        with transaction(self.kitchen.engine) as session:
            return runs.make_kept_runs(session, now=self.kitchen.now, limit=limit)

    def make_all(self) -> int:
        """All of it; how many there were."""
        made = 0
        while self.has_kept_work():
            made += self.make()
        return made

    def has_kept_work(self) -> bool:
        """What the engine asks before it takes a lock."""
        with reading(self.kitchen.engine) as session:
            return runs.has_kept_work(session)

    def ran(self) -> list[tuple[int, str]]:
        """Every run's event and state, in the order they were made."""
        return [(run.event_id, run.state) for run in self.kitchen.runs()]


@pytest.fixture
def shop(kitchen: Kitchen, vault: Vault) -> Shop:
    """A shop whose recipe is saved and has never been on."""
    return Shop(kitchen, vault)


def test_what_came_while_it_was_off_is_offered_and_run_in_order(shop: Shop) -> None:
    """Nothing runs by itself; on the merchant's word all of it does, once, and the offer is gone."""
    shop.on()
    shop.sell(1)
    shop.off()
    shop.sell(2, 3)
    shop.kitchen.work()
    offer = shop.on()
    assert offer.sentence == "2 events came while this was off: run them?"
    shop.sell(4)
    shop.kitchen.work()
    assert shop.ran() == [(1, DONE), (4, DONE)]
    assert shop.decide() == "They are being run now, in the order in which they came."
    assert shop.make_all() == 2
    shop.kitchen.work()
    assert shop.ran() == [(1, DONE), (4, DONE), (2, DONE), (3, DONE)]
    assert shop.kept().sentence == "2 runs were made of what came while it was off."
    with pytest.raises(CookbookError, match="waits for your word any more"):
        shop.decide()
    assert (shop.make(), len(shop.ran())) == (0, 4)


def test_an_offer_says_since_when_it_was_off_as_something_came(shop: Shop) -> None:
    """Not since it was set up, which was before it was ever switched on."""
    shop.on()
    shop.off()
    since = shop.kitchen.now
    shop.sell(1)
    assert shop.on().since == since


def test_what_came_before_a_recipe_was_made_is_not_offered(shop: Shop, vault: Vault) -> None:
    """A recipe that is new to an old store asks nothing; one that was saved and left off asks for what came since."""
    shop.sell(1)
    shop.kitchen.work()
    shop.kitchen.later(minutes=1)
    with transaction(shop.kitchen.engine) as session:
        shipped = cookbook.draft_from_prebuilt(session, shop.mine, LEDGER)
        assert shipped is not None
        another = type(shipped)(**{**vars(shipped), "another": True, "title": "Another"})
        made = cookbook.save(session, vault, shop.mine, another, by="ada@example.com", now=shop.kitchen.now)
    assert made.id is not None
    assert shop.on().count == 1
    shop.recipe_id = made.id
    assert shop.on() == cookbook.KeptEvents()


def test_left_ones_stay_and_are_not_asked_about_again(shop: Shop) -> None:
    shop.sell(1)
    shop.on()
    assert shop.decide(cookbook.leave_kept) == "They stay stored under Activity, and are not run."
    assert (shop.make(), shop.ran(), shop.kept().sentence) == (0, [], "")
    shop.off()
    shop.sell(2)
    assert shop.on().sentence == "1 event came while this was off: run it?"


def test_an_offer_stays_until_it_is_decided(shop: Shop) -> None:
    """Two times off, never decided: both are offered."""
    shop.sell(1)
    shop.on()
    shop.off()
    shop.sell(2)
    assert shop.on().count == 2
    shop.decide()
    assert shop.make_all() == 2
    assert [event for event, _ in shop.ran()] == [1, 2]


def test_samples_and_the_other_side_are_never_offered(shop: Shop) -> None:
    shop.sell(1, origin=Origin.SAMPLE)
    shop.sell(2)
    assert shop.on().count == 1
    with transaction(shop.kitchen.engine) as session:
        session.get_one(Recipe, shop.recipe_id).runs_on = RunsOn.TEST
    assert shop.kept().count == 0


def test_the_twin_is_offered_too(kitchen: Kitchen, vault: Vault) -> None:
    """Of invoice.paid and invoice.payment_succeeded only the first to arrive is kept, whichever the recipe is for."""
    shop = Shop(kitchen, vault, "invoice.paid/ledger-row")
    kitchen.later(minutes=1)
    kitchen.deliver("invoice.payment_succeeded", sample("invoice.payment_succeeded"))
    assert shop.on().count == 1
    shop.decide()
    assert shop.make_all() == 1


def test_what_was_undone_since_is_left_out_and_can_be_found(shop: Shop) -> None:
    """A sale that was refunded would give access back; its run is there, cancelled, with the reason."""
    shop.sell(1, 2)
    refund = {"order": {"id": "order_1"}, "refund": {"id": "re_1", "amount": 64.99, "status": "succeeded"}}
    shop.kitchen.deliver("order.refunded", refund, occurred_at=shop.kitchen.now)
    shop.on()
    shop.decide()
    assert shop.make() == 2
    shop.kitchen.work()
    assert shop.ran() == [(1, LEFT_OUT), (2, DONE)]
    assert shop.kitchen.runs()[0].outcome.startswith("Left out: This order was refunded")
    assert "1 was left out, undone since" in shop.kept().sentence
    with pytest.raises(runs.UndoneSince):
        shop.kitchen.run_again(shop.kitchen.runs()[0].id)


def test_many_are_made_in_parts(shop: Shop) -> None:
    """No transaction makes more than it is asked to, and the next goes on where it ended."""
    shop.sell(*range(1, 6))
    shop.on()
    shop.decide()
    assert [shop.make(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [event for event, _ in shop.ran()] == [1, 2, 3, 4, 5]
    assert not shop.has_kept_work()


def test_switched_off_in_between_it_stops_and_offers_the_rest(shop: Shop) -> None:
    shop.sell(1, 2, 3)
    shop.on()
    shop.decide()
    assert shop.make(limit=1) == 1
    shop.off()
    assert shop.make() == 0
    shop.sell(4)
    assert shop.on().count == 3
    shop.decide()
    shop.make_all()
    assert [event for event, _ in shop.ran()] == [1, 2, 3, 4]


def test_kept_events_that_wait_to_be_fanned_out_run_once(shop: Shop) -> None:
    """The merchant may be quicker than the engine."""
    shop.sell(1)
    shop.on()
    shop.decide()
    shop.make()
    shop.kitchen.work()
    assert shop.ran() == [(1, DONE)]


def test_one_that_comes_from_the_spool_after_all_were_run_runs_too(shop: Shop) -> None:
    """Received while the recipe was off, stored only now: it belongs to those that the merchant wanted."""
    shop.sell(1)
    late = shop.kitchen.now
    shop.on()
    shop.decide()
    shop.make()
    present, shop.kitchen.now = shop.kitchen.now, late
    shop.kitchen.deliver("order.completed", order(2))
    shop.kitchen.now = present
    shop.kitchen.work()
    assert shop.ran() == [(1, DONE), (2, DONE)]


# ── An engine that is slower than the merchant ───────────────────────────────────────────────────────────


def test_what_came_while_it_was_on_runs_though_it_is_off_by_then(shop: Shop) -> None:
    """Decided by when an event came, not by when the engine comes to it: on, off, on, off."""
    shop.sell(1)
    shop.on()
    shop.sell(2)
    shop.off()
    shop.sell(3)
    shop.on()
    shop.sell(4)
    shop.off()
    shop.sell(5)
    shop.kitchen.work()
    assert shop.ran() == [(2, DONE), (4, DONE)]


def test_a_clock_that_was_set_back_runs_nothing_that_came_while_it_was_off(shop: Shop) -> None:
    """Switched off at an earlier time than it was switched on."""
    shop.kitchen.later(days=2)
    shop.on()
    shop.kitchen.later(days=-1)
    shop.off()
    shop.sell(1)
    shop.kitchen.work()
    assert shop.ran() == []


def test_calling_off_what_waits_includes_what_has_no_run_yet(shop: Shop) -> None:
    """Whether the engine has made the run already makes no difference to the merchant."""
    shop.on()
    shop.sell(1)
    shop.off(cancel_waiting=True)
    shop.kitchen.work()
    assert shop.ran() == []
    shop.on()
    shop.sell(2)
    shop.kitchen.work()
    assert shop.ran() == [(2, DONE)]


def test_what_came_before_a_recipe_was_deleted_runs(shop: Shop) -> None:
    shop.on()
    shop.sell(1)
    shop.kitchen.later(minutes=1)
    with transaction(shop.kitchen.engine) as session:
        cookbook.delete(session, shop.mine, shop.recipe_id, shop.kitchen.now)
    shop.sell(2)
    shop.kitchen.work()
    assert shop.ran() == [(1, DONE)]


# ── A suspended store ────────────────────────────────────────────────────────────────────────────────────


def _suspend(kitchen: Kitchen) -> None:
    with transaction(kitchen.engine) as session:
        runs.suspend(session, kitchen.endpoint.merchant_id, now=kitchen.now)


def _resume(kitchen: Kitchen) -> int:
    with transaction(kitchen.engine) as session:
        return runs.resume(session, kitchen.endpoint.merchant_id, now=kitchen.now)


def test_a_suspended_store_keeps_what_comes_and_runs_it_in_order_when_resumed(shop: Shop) -> None:
    """What waited for its run, what had one already, and what comes meanwhile: nothing runs, nothing is lost."""
    shop.on()
    shop.sell(1)
    shop.kitchen.claim(limit=0)
    _suspend(shop.kitchen)
    shop.sell(2, 3)
    shop.kitchen.work()
    assert shop.ran() == [(1, RunState.HELD)]
    with reading(shop.kitchen.engine) as session:
        assert not runs.has_work(session, shop.kitchen.now)
    assert _resume(shop.kitchen) == 1
    shop.kitchen.work()
    assert shop.ran() == [(1, DONE), (2, DONE), (3, DONE)]
    with reading(shop.kitchen.engine) as session:
        assert [row.key for row in session.exec(select(LedgerRow))] == ["order_1", "order_2", "order_3"]


def test_nothing_of_a_suspended_store_runs_though_it_is_asked_for(shop: Shop) -> None:
    """Run again, or what was kept: it waits."""
    shop.sell(1)
    shop.on()
    shop.sell(2)
    shop.kitchen.work()
    _suspend(shop.kitchen)
    shop.decide()
    assert (shop.has_kept_work(), shop.make()) == (False, 0)
    shop.kitchen.run_again(1)
    shop.kitchen.work()
    assert shop.kitchen.states() == [DONE, RunState.QUEUED]
    _resume(shop.kitchen)
    assert shop.make() == 1
    shop.kitchen.work()
    assert shop.kitchen.states() == [DONE] * 3


def test_resuming_leaves_what_waits_for_a_connection(kitchen: Kitchen) -> None:
    """Its credentials are still refused."""
    connection = kitchen.connect("ledger")
    columns = {"A": "1"}
    kitchen.recipe("order.completed", step("ledger", "put_row", connection, key="k", table="T", columns=columns))
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(limit=0)
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="No.", now=kitchen.now)
    _suspend(kitchen)
    assert _resume(kitchen) == 0
    assert kitchen.states() == [RunState.HELD]
    assert kitchen.release(connection) == 1


def test_a_suspended_stores_runs_without_a_connection_wait_too(kitchen: Kitchen) -> None:
    """Their connection was removed. They would fail meanwhile; resumed, they say what to do."""
    fields = {"key": "k", "table": "T", "columns": {"A": "1"}}
    kitchen.recipe("order.completed", step("ledger", "put_row", None, **fields))
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(limit=0)
    _suspend(kitchen)
    kitchen.work()
    assert kitchen.states() == [RunState.HELD]
    assert _resume(kitchen) == 1
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED]


def test_another_stores_events_go_past_a_suspended_ones(shop: Shop, kitchen: Kitchen) -> None:
    """Whatever number of them waits in front."""
    shop.on()
    with transaction(kitchen.engine) as session:
        other = Merchant(name="Other", created_at=kitchen.now, suspended_at=kitchen.now)
        session.add(other)
    first = kitchen.endpoint.merchant_id
    assert other.id is not None
    kitchen.endpoint.merchant_id = other.id
    for number in range(10):
        kitchen.deliver("order.completed", order(100 + number))
    kitchen.endpoint.merchant_id = first
    shop.sell(1)
    with transaction(kitchen.engine) as session:
        assert runs.fan_out(session, now=kitchen.now, limit=5) == 1
    assert len(shop.ran()) == 1


def test_no_period_is_left_open_while_a_recipe_is_on(shop: Shop) -> None:
    """Switching on twice, or off twice, changes nothing."""
    shop.on()
    shop.on()
    shop.off()
    shop.off()
    with reading(shop.kitchen.engine) as session:
        periods = session.exec(select(OffPeriod)).all()
    assert [period.until is None for period in periods] == [False, True]
