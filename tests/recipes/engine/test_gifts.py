"""What gives a buyer something gives it for as long as it lives, also once its events are forgotten."""

import pytest
from sqlmodel import col, select

from recipes import cookbook
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import Connection, Event, Gift, IdentityMemory, Origin, Recipe, Run, RunState
from recipes.retention import forget_old
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.engine.test_still_given import (
    CREATED,
    DELETED,
    PAUSED,
    REFUND,
    SALE,
    _refund,
    connection,
    deliver,
    last,
    tag,
    tags,
)
from tests.recipes.events.deliveries import sample

__all__ = ["connection"]
pytestmark = both_databases

RESUMED = "customer.subscription.resumed"
KEEP_DAYS = 400
ALSO = "The buyer also has a subscription, since 24 July 2026, that gives the same. Nothing was taken."


def forget(kitchen: Kitchen, days: int = KEEP_DAYS + 1) -> None:
    """So many days go by, and what is old then is forgotten."""
    kitchen.later(days=days)
    forget_old(kitchen.engine, keep_days=KEEP_DAYS, now=kitchen.now, pause=lambda _: False)


def events(kitchen: Kitchen) -> list[str]:
    """What is not forgotten."""
    with reading(kitchen.engine) as session:
        return list(session.exec(select(Event.type).order_by(col(Event.id))))


def gifts(kitchen: Kitchen) -> list[tuple[str, int]]:
    """What is noted: what gives, and on which connection."""
    with reading(kitchen.engine) as session:
        found = session.exec(select(Gift).order_by(col(Gift.holder)))
        return [(gift.holder, gift.connection_id) for gift in found]


def test_the_end_of_another_takes_nothing_years_later(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """A second plan, begun and ended long after the first one's start is forgotten. Its own end takes it."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    forget(kitchen)
    assert events(kitchen) == []
    assert gifts(kitchen) == [("subscription:old", connection)]
    deliver(kitchen, CREATED, "new", "another offer")
    kitchen.work()
    deliver(kitchen, DELETED, "new", "another offer")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    forget(kitchen)
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert tags(mailchimp) == [("member", True)] * 2 + [("member", False)]
    forget(kitchen)
    assert gifts(kitchen) == []


def test_run_again_asks_years_later(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """As it does for what is not forgotten."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    forget(kitchen)
    deliver(kitchen, CREATED, "new")
    deliver(kitchen, DELETED, "new")
    kitchen.work()
    said = "The buyer also has a subscription, since 24 July 2026, that gives the same. Running this again may take"
    with pytest.raises(runs.UndoneSince, match=said):
        kitchen.run_again(kitchen.runs()[-1].id)
    kitchen.run_again(kitchen.runs()[-1].id, all_the_same=True)
    kitchen.work()
    assert tags(mailchimp)[-1] == ("member", False)


def test_nobody_else_has_it(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """Another buyer, another tag, another connection that is there; and a sample, which is forgotten for good."""
    kitchen.recipe(CREATED, tag("add_tag", connection, "other"))
    elsewhere = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", elsewhere))
    kitchen.recipe(DELETED, tag("remove_tag", elsewhere, "third"))
    kitchen.deliver(CREATED, sample(CREATED, customer={"email": "joe@example.com"}))
    deliver(kitchen, CREATED, "tried", origin=Origin.SAMPLE)
    kitchen.work()
    forget(kitchen)
    assert len(gifts(kitchen)) == 3
    deliver(kitchen, CREATED, "old")
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert {each for each in tags(mailchimp) if not each[1]} == {("member", False), ("third", False)}


def test_an_order_gives_until_it_is_refunded_as_a_whole(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """By several steps and recipes: it is one right. The amount that was paid is known when its event is not."""
    number = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "tags": "news, Member"}
    kitchen.recipe(SALE, step("mailchimp", "add_subscriber", number, **fields), tag("add_tag", number))
    kitchen.recipe(SALE, tag("add_tag", number))
    for each in (1, 2, 3):
        kitchen.deliver(SALE, order(each))
    kitchen.work()
    forget(kitchen)
    assert sorted(set(gifts(kitchen))) == [(f"refunds:order_{each}", number) for each in (1, 2, 3)]
    kitchen.deliver(REFUND, _refund(1))
    kitchen.deliver(REFUND, _refund(2, amount=9.99))
    kitchen.work()
    kitchen.recipe(REFUND, tag("remove_tag", number))
    kitchen.deliver(REFUND, _refund(3))
    kitchen.work()
    said = "The buyer also has an order, of 24 July 2026, that gives the same. Nothing was taken."
    assert last(kitchen) == (RunState.SKIPPED, said)
    kitchen.deliver(REFUND, {**_refund(2), "refund": {"id": "the rest", "amount": 55, "status": "succeeded"}})
    kitchen.work()
    assert tags(mailchimp)[-1] == ("member", False)
    forget(kitchen)
    assert gifts(kitchen) == []


@pytest.mark.usefixtures("connection")
def test_who_gave_by_renewals_has_done_so_since_the_first(kitchen: Kitchen) -> None:
    """The latest that is forgotten, and those that are not, add nothing but a later day."""
    kitchen.recipe("invoice.paid", tag("add_tag", 1))
    deliver(kitchen, CREATED, "old")
    for _ in range(4):
        kitchen.later(days=200)
        deliver(kitchen, "invoice.paid", "old")
        kitchen.work()
    forget(kitchen, days=1)
    assert events(kitchen) == ["invoice.paid", "invoice.paid"]
    deliver(kitchen, CREATED, "new")
    deliver(kitchen, DELETED, "new")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)


def test_what_was_taken_since_gives_nothing(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """A pause took it, after the start was forgotten or before; and the pause is forgotten, too, before it ends."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection))
    for first, then in ((0, 0), (KEEP_DAYS + 1, 0), (KEEP_DAYS + 1, KEEP_DAYS + 1), (1, KEEP_DAYS + 1)):
        name = f"{first}-{then}"
        deliver(kitchen, CREATED, name)
        kitchen.work()
        forget(kitchen, first)
        deliver(kitchen, PAUSED, name)
        kitchen.work()
        forget(kitchen, then)
        deliver(kitchen, CREATED, f"{name} too")
        deliver(kitchen, DELETED, f"{name} too")
        kitchen.work()
        assert last(kitchen)[0] == RunState.SUCCEEDED
    assert ("member", False) in tags(mailchimp)
    forget(kitchen)
    assert gifts(kitchen) == []


def test_what_was_given_late_and_taken_before_gives_nothing(kitchen: Kitchen, connection: int) -> None:
    """The pause came first, and is not forgotten before the start that it undid."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection))
    happened = kitchen.now
    kitchen.later(days=1)
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    kitchen.later(days=3)
    deliver(kitchen, CREATED, "one", occurred_at=happened)
    kitchen.work()
    forget(kitchen, days=KEEP_DAYS - 2)
    assert events(kitchen) == [PAUSED, CREATED]
    forget(kitchen, days=3)
    assert events(kitchen) == []
    assert gifts(kitchen) == []


def test_a_pause_that_took_nothing_is_kept_until_it_is_settled(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """Another subscription gave the same. After the resumption, at which no recipe gives, it is given as before."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection))
    deliver(kitchen, CREATED, "one")
    deliver(kitchen, CREATED, "two")
    kitchen.work()
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    assert last(kitchen)[0] == RunState.SKIPPED
    forget(kitchen)
    assert events(kitchen) == [PAUSED]
    deliver(kitchen, RESUMED, "one")
    deliver(kitchen, DELETED, "two")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    forget(kitchen)
    assert gifts(kitchen) == [("subscription:one", connection)]
    assert tags(mailchimp) == [("member", True)] * 2


def test_who_comes_back_to_life_has_what_was_not_taken(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """Its start was forgotten while it was over."""
    deliver(kitchen, CREATED, "one")
    kitchen.work()
    kitchen.later(days=KEEP_DAYS - 5)
    deliver(kitchen, CREATED, "two")
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    forget(kitchen, days=10)
    deliver(kitchen, RESUMED, "one")
    deliver(kitchen, DELETED, "two")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    assert gifts(kitchen) == [("subscription:one", connection)]
    assert ("member", False) not in tags(mailchimp)


def test_what_was_never_given_is_not_noted(kitchen: Kitchen, connection: int) -> None:
    """The merchant cancelled it, or its conditions did not hold."""
    kitchen.recipe(CREATED, tag("add_tag", connection), conditions=[{"fact": "buyer.email", "operator": "is_empty"}])
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="…", now=kitchen.now)
    deliver(kitchen, CREATED, "one")
    kitchen.work()
    for run in kitchen.runs():
        kitchen.cancel(run.id)
    forget(kitchen)
    assert events(kitchen) == []
    assert gifts(kitchen) == []


def test_what_you_marked_as_done_or_what_failed_counts(kitchen: Kitchen, connection: int) -> None:
    """As long as you have not said, it is kept as it is."""
    deliver(kitchen, CREATED, "unsure")
    deliver(kitchen, CREATED, "failed")
    kitchen.work()
    with transaction(kitchen.engine) as session:
        for run, state in zip(session.exec(select(Run).order_by(col(Run.id))), ("unsure", "failed"), strict=True):
            run.state = state
    forget(kitchen)
    assert events(kitchen) == [CREATED]
    kitchen.mark_done(1)
    forget(kitchen, days=1)
    assert gifts(kitchen) == [("subscription:failed", connection), ("subscription:unsure", connection)]


def test_it_outlives_the_connection_and_the_recipe(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """The merchant makes both anew, to the same account."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    with transaction(kitchen.engine) as session:
        for recipe in session.exec(select(Recipe)):
            cookbook.delete(session, recipe.merchant_id, recipe.id or 0, kitchen.now)
        session.delete(session.get_one(Connection, connection))
    forget(kitchen)
    with reading(kitchen.engine) as session:
        assert session.exec(select(Recipe)).all() == []
    kitchen.recipe(DELETED, tag("remove_tag", kitchen.connect("mailchimp")))
    deliver(kitchen, DELETED, "new")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    assert ("member", False) not in tags(mailchimp)


def test_what_is_taken_on_a_new_connection_is_given_on_none(kitchen: Kitchen, connection: int) -> None:
    """The one that it was given on is gone. On one that is there nothing changes."""
    other = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", other))
    deliver(kitchen, CREATED, "one")
    kitchen.work()
    forget(kitchen)
    with transaction(kitchen.engine) as session:
        session.delete(session.get_one(Connection, connection))
    kitchen.recipe(PAUSED, tag("remove_tag", kitchen.connect_as("mailchimp", "new")))
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    forget(kitchen)
    assert gifts(kitchen) == [("subscription:one", other)]


@pytest.mark.usefixtures("connection")
def test_what_cannot_be_told_is_not_forgotten(kitchen: Kitchen, caplog: pytest.LogCaptureFixture) -> None:
    """All else is; and whoever takes something from the buyer is asked."""
    deliver(kitchen, CREATED, "odd")
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    _disturb(kitchen, {"status": []})
    forget(kitchen)
    assert events(kitchen) == [CREATED]
    assert "cannot be told" in caplog.text
    deliver(kitchen, DELETED, "old")
    kitchen.work()
    assert last(kitchen)[0] == RunState.UNSURE
    _disturb(kitchen, {})
    forget(kitchen, days=1)
    assert [holder for holder, _ in gifts(kitchen)] == ["subscription:odd", "subscription:old"]


def _disturb(kitchen: Kitchen, memory: dict[str, list[str]]) -> None:
    with transaction(kitchen.engine) as session:
        odd = session.exec(select(IdentityMemory).where(col(IdentityMemory.about).contains("odd"))).one()
        odd.memory = dict(memory)


@pytest.mark.usefixtures("connection")
def test_whoever_it_is_does_not_stand_there(kitchen: Kitchen) -> None:
    """What is kept for years says neither whose it is nor what, and is found by a later release, too."""
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    forget(kitchen)
    with reading(kitchen.engine) as session:
        gift = session.exec(select(Gift)).one()
    assert gift.name == "affcd7381d96eb0f5d31b7ea4fc636ea"
    told = str(gift.model_dump())
    assert "@" not in told
    assert "member" not in told


@pytest.mark.usefixtures("connection")
def test_the_latest_of_hundreds_is_enough(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Where not all can be looked at, one that gives is an answer; since when it does is not said."""
    for _ in range(20):
        kitchen.recipe("invoice.paid", tag("add_tag", None, "other"))
    deliver(kitchen, CREATED, "one")
    for _ in range(10):
        kitchen.later(days=2)
        deliver(kitchen, "invoice.paid", "one")
    deliver(kitchen, CREATED, "two")
    kitchen.work()
    assert len(kitchen.runs()) > 200
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    said = "The buyer also has a subscription that gives the same. Nothing was taken."
    assert last(kitchen) == (RunState.SKIPPED, said)
    assert ("member", False) not in tags(mailchimp)
