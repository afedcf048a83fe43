"""What is old and done is forgotten, in small parts, and the file gets smaller."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy import event as database_event
from sqlmodel import col, select

from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import open_database, reading, transaction
from recipes.definition import Step
from recipes.engine.rights import still_given
from recipes.mail import Mailer
from recipes.models import Account, Event, Gift, IdentityKey, Run, RunState, UnsavedForm
from recipes.retention import EVENTS_AT_ONCE, PAGES_AT_ONCE, forget_old
from recipes.settings import Settings
from recipes.storing import store
from recipes.vault import Vault
from tests.conftest import NOW
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.engine.test_still_given import CREATED, DELETED, PAUSED, deliver, tag
from tests.recipes.events.deliveries import sample
from tests.recipes.test_query_plans import explained
from tests.service.running import eventually

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]


def _forget(kitchen: Kitchen, pause: Callable[[float], bool] = lambda _: False) -> int:
    return forget_old(kitchen.engine, keep_days=7, now=kitchen.now, pause=pause)


def _events(kitchen: Kitchen) -> list[int | None]:
    with reading(kitchen.engine) as session:
        return [event.id for event in session.exec(select(Event).order_by(col(Event.id)))]


def _add_rows(kitchen: Kitchen) -> None:
    ledger = kitchen.connect("ledger")
    kitchen.recipe("order.completed", step("ledger", "put_row", ledger, key="{{ order.id }}", columns={"A": "x"}))


def _sell(kitchen: Kitchen, *numbers: int, padding: int = 0) -> None:
    body = [order(number, f"buyer{number}@example.com") | {"note": "x" * padding} for number in numbers]
    store(kitchen.engine, [kitchen._delivery("order.completed", each, None) for each in body])


def test_what_is_old_and_done_is_forgotten(kitchen: Kitchen, engine: Engine) -> None:
    """An event goes with its finished runs and keys; one whose run still waits for anybody stays."""
    _add_rows(kitchen)
    _sell(kitchen, 1)
    kitchen.work()
    _sell(kitchen, 2)
    kitchen.claim()
    kitchen.later(days=8)
    _sell(kitchen, 3)
    assert _forget(kitchen) == 1
    assert _events(kitchen) == [2, 3]
    with reading(engine) as session:
        assert {key.event_id for key in session.exec(select(IdentityKey))} <= {2, 3}
    assert kitchen.states() == [RunState.RUNNING]


def test_an_event_stays_for_as_long_as_a_run_of_it_waits(kitchen: Kitchen) -> None:
    """However long its recipe says: what is to be done then is told by the event."""
    row = step("ledger", "put_row", kitchen.connect("ledger"), key="{{ order.id }}", columns={"A": "x"})
    kitchen.recipe("order.completed", row | {"wait": "60 days"})
    _sell(kitchen, 1)
    kitchen.work()
    kitchen.later(days=59)
    with explained(kitchen.engine, "SELECT", "DELETE") as plans:
        assert _forget(kitchen) == 0
    assert not [plan for plan in plans if "ix_run_delayed" in plan], "goes through all that wait, for each event"
    kitchen.later(days=1)
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]
    assert _forget(kitchen) == 1


def test_what_the_engine_has_not_looked_at_stays(kitchen: Kitchen) -> None:
    """An engine that could not work for a week must find it all."""
    _sell(kitchen, 1)
    kitchen.later(days=8)
    assert _forget(kitchen) == 0
    assert _events(kitchen) == [1]


def test_lapsed_keys_go_and_the_others_stay(kitchen: Kitchen, engine: Engine) -> None:
    """The body is a key for ten minutes and is kept for two days more; an order is one for as long as its event."""
    _sell(kitchen, 1)
    store(kitchen.engine, [kitchen._delivery("order.refunded", sample("order.refunded"), None)])
    kitchen.later(days=1)
    _forget(kitchen)
    with reading(engine) as session:
        assert [key.until is None for key in session.exec(select(IdentityKey))].count(False) == 1
    kitchen.later(days=2)
    _forget(kitchen)
    with reading(engine) as session:
        assert "order.completed:order_1" in [key.key for key in session.exec(select(IdentityKey))]
        assert all(key.until is None for key in session.exec(select(IdentityKey)))


def test_forms_that_nobody_came_back_to_are_forgotten(kitchen: Kitchen, engine: Engine) -> None:
    """After a month, and not before."""
    with transaction(engine) as session:
        person = Account(email="ada@example.com", password="x", fs_uniquifier="1", created_at=NOW)
        session.add(person)
        session.flush()
        assert person.id is not None
        for days, recipe in ((29, "1"), (31, "2")):
            session.add(
                UnsavedForm(
                    account_id=person.id, merchant_id=kitchen.endpoint.merchant_id, recipe=recipe, entered=[],
                    created_at=NOW - timedelta(days=days),
                )
            )  # fmt: skip
    _forget(kitchen)
    with reading(engine) as session:
        assert [form.recipe for form in session.exec(select(UnsavedForm))] == ["1"]


def test_the_file_shrinks_in_small_parts_that_let_deliveries_through(kitchen: Kitchen, settings: Settings) -> None:
    """After each part a receiver that does not wait at all gets its delivery stored; no part gives back more."""
    for start in range(0, 400, 100):
        _sell(kitchen, *range(start, start + 100), padding=9_000)
    kitchen.claim()
    kitchen.later(days=8)
    impatient = open_database(settings.database, wait_seconds=0)
    pages = [_pragma(kitchen.engine, "page_count")]

    def deliver(seconds: float) -> bool:
        assert 0 < seconds <= 0.1
        pages.append(_pragma(kitchen.engine, "page_count"))
        assert store(impatient, [kitchen._delivery("order.completed", order(1000 + len(pages)), None)]) == [True]
        return False

    assert _forget(kitchen, deliver) == 400
    assert len(_events(kitchen)) == len(pages) - 1
    given_back = [before - after for before, after in pairwise(pages)]
    assert len([each for each in given_back if each > 0]) > 3
    # SQLite's own map of the pages shrinks with them, by one in some 800.
    assert max(given_back) <= PAGES_AT_ONCE + 1
    assert pages[-1] < pages[0] / 4
    impatient.dispose()
    kitchen.engine.dispose()
    assert (settings.data_dir / "pocketwire.db").stat().st_size < pages[0] * 4096 / 4


def _pragma(engine: Engine, name: str) -> int:
    with reading(engine) as session:
        return int(session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one())


def test_a_stopping_engine_leaves_the_rest(kitchen: Kitchen) -> None:
    """It does not wait for a million events to be forgotten."""
    _sell(kitchen, *range(EVENTS_AT_ONCE + 1))
    kitchen.claim()
    kitchen.later(days=8)
    assert _forget(kitchen, lambda _: True) == EVENTS_AT_ONCE
    assert _forget(kitchen) == 1


def test_old_events_that_have_to_stay_are_passed_by_once(kitchen: Kitchen) -> None:
    """Along an index, without their rows, and not anew for each part; what belongs to an event is found by it."""
    _add_rows(kitchen)
    _sell(kitchen, *range(EVENTS_AT_ONCE * 2))
    kitchen.claim(limit=0)
    with transaction(kitchen.engine) as session:
        session.execute(update(Run).values(state=RunState.UNSURE))
        session.execute(update(Run).where(col(Run.id) % 2 == 0).values(state=RunState.SUCCEEDED))
    kitchen.later(days=8)
    with explained(kitchen.engine, "SELECT", "DELETE") as plans:
        assert _forget(kitchen) == EVENTS_AT_ONCE
    walks = [plan for plan in plans if "ix_event_endpoint_id_received_at" in plan]
    assert len(walks) == 2
    assert all("COVERING INDEX" in plan and "received_at>?" in plan for plan in walks)
    assert [plan for plan in plans if plan.startswith("SEARCH identity_key") and "ix_identity_key_event_id" in plan]
    large = ("event", "run", "attempt", "identity_key")
    assert [plan for plan in plans if plan.startswith(tuple(f"SCAN {table}" for table in large))] == []


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_run_that_is_just_run_again_stays(kitchen: Kitchen, engine: Engine) -> None:
    """Retention finds it finished, waits for the merchant's request, and looks again. SQLite has one writer anyway."""
    _sell(kitchen, 1, 2)
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger")))
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED] * 2
    kitchen.later(days=8)
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as session:
            runs.run_again(session, kitchen.endpoint.merchant_id, 1, now=kitchen.now)
            forgotten = pool.submit(_forget, kitchen)
            eventually(lambda: _waits_for_a_lock(engine), "retention to wait for the request")
        assert forgotten.result(10.0) == 1
    assert [(run.id, run.state) for run in kitchen.runs()] == [(1, RunState.QUEUED)]


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_is_forgotten_while_it_is_looked_at_counts(kitchen: Kitchen) -> None:
    """Between the look at the buyer's runs and that at their events. SQLite shows one moment."""
    step = _give_and_take(kitchen)
    deliver(kitchen, CREATED, "old")
    kitchen.work()
    kitchen.later(days=8)
    deliver(kitchen, DELETED, "new")
    forgets = iter([_forget])

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM event" in statement and "event.id IN" in statement:
            for each in forgets:
                assert each(kitchen) == 1

    with transaction(kitchen.engine) as session:
        end = session.exec(select(Event).where(Event.type == DELETED)).one()
        database_event.listen(kitchen.engine, "before_cursor_execute", meanwhile)
        said = still_given(session, end, step, now=kitchen.now)
    assert next(forgets, None) is None
    assert said == "The buyer also has a subscription, since 24 July, that gives the same."


def _give_and_take(kitchen: Kitchen) -> Step:
    """A tag at a subscription's start, which its end and its pause take; the step that does."""
    number = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", number))
    kitchen.recipe(DELETED, tag("remove_tag", number))
    kitchen.recipe(PAUSED, tag("remove_tag", number))
    return Step(**tag("remove_tag", number))


def test_what_is_given_is_noted_without_reading_whole_tables(kitchen: Kitchen) -> None:
    """Of the buyers whose events go, nothing else is looked at."""
    _give_and_take(kitchen)
    deliver(kitchen, CREATED, "one")
    deliver(kitchen, CREATED, "two")
    kitchen.work()
    kitchen.later(days=8)
    assert _forget(kitchen) == 2
    deliver(kitchen, PAUSED, "one")
    deliver(kitchen, DELETED, "two")
    kitchen.work()
    kitchen.later(days=8)
    with explained(kitchen.engine, "SELECT", "DELETE") as plans:
        assert _forget(kitchen) == 2
    assert {plan for plan in plans if " gift " in plan} == {
        "SEARCH gift USING INDEX sqlite_autoindex_gift_1 (endpoint_id=? AND name=?)",
        "SEARCH gift USING INDEX ix_gift_endpoint_id_holder (endpoint_id=? AND holder=?)",
    }
    large = ("event", "run", "attempt", "identity_memory")
    assert [plan for plan in plans if plan.startswith(tuple(f"SCAN {table}" for table in large))] == []
    with reading(kitchen.engine) as session:
        assert session.exec(select(Gift)).all() == []


def _waits_for_a_lock(engine: Engine) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with reading(engine) as session:
        return bool(session.execute(text(waiting)).scalar())


def test_retention_begins_soon_after_a_start(
    kitchen: Kitchen, engine: Engine, settings: Settings, vault: Vault
) -> None:
    """And comes back every day: a service that is started anew each night would otherwise keep everything."""
    clock = EmbeddedClock(engine, settings, ClientCache(vault, {}), Mailer(settings), now=lambda: NOW)
    job = clock._scheduler().get_job("retention")
    assert NOW < job.next_run_time <= NOW + timedelta(minutes=10)
    assert job.trigger.interval == timedelta(days=1)
