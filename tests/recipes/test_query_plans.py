"""What is asked every second, or on every page, does not read whole tables however long the store has been selling."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, update
from sqlmodel import Session

from recipes import connections, cookbook, ledger
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.engine import keeping
from recipes.engine.undone import undone_since
from recipes.ledger.waiting import stopped_since
from recipes.models import Event, Recipe, Run, RunState, Standing
from tests.conftest import NOW
from tests.recipes.engine.kitchen import Kitchen, order, step

ASKED: dict[str, Callable[[Session, int, int], Any]] = {
    "whether there is work": lambda session, mine, number: runs.has_work(session, NOW),
    "whether what was kept is to be run": lambda session, mine, number: runs.has_kept_work(session),
    "what was kept": lambda session, mine, number: _kept(session, mine),
    "whether waits are over": lambda session, mine, number: runs.end_waits(session, now=NOW),
    "claim": lambda session, mine, number: runs.claim(session, now=NOW, lease="x", limits=runs.Limits(), limit=8),
    "recover": lambda session, mine, number: runs.recover(session, now=NOW),
    "hold": lambda session, mine, number: runs.hold(session, number, reason="…", now=NOW),
    "release": lambda session, mine, number: runs.release(session, number, now=NOW),
    "what needs the merchant": lambda session, mine, number: ledger.needs_attention(session, mine, NOW),
    "what has gone quiet": lambda session, mine, number: _quiet(session, mine),
    "counters": lambda session, mine, number: _counted(session, mine),
    "a run's page": lambda session, mine, number: _waiting(session, mine),
    "whether a recipe has done anything": lambda session, mine, number: ledger.has_succeeded(session, mine),
    "events": lambda session, mine, number: ledger.events_page(session, mine),
    "runs": lambda session, mine, number: ledger.runs_page(session, mine),
    "how far runs have gone": lambda session, mine, number: runs.courses(session, [1, 2]),
    "whether a sale was undone": lambda session, mine, number: undone_since(session, _event(session, 1), now=NOW),
    "whether a refund was undone": lambda session, mine, number: undone_since(session, _event(session, 2), now=NOW),
    "whether an event is late": lambda session, mine, number: runs.is_late(session, _event(session, 4)),
    "suspend": lambda session, mine, number: runs.suspend(session, mine, now=NOW),
    "resume": lambda session, mine, number: runs.resume(session, mine, now=NOW),
    "whether runs need a connection": lambda session, mine, number: connections.remove(session, mine, number),
}


def _event(session: Session, number: int) -> Event:
    """1 is a sale, 2 its refund, 4 another sale that came after its refund."""
    return session.get_one(Event, number)


def _quiet(session: Session, mine: int) -> None:
    """Long after the last delivery, with a recipe that is on and work that waits: every look there is."""
    session.get_one(Recipe, 1).enabled = True
    event = session.get_one(Event, 4)
    event.standing, event.fanned_out_at = Standing.READY, None
    session.flush()
    assert ledger.silences(session, mine, NOW + timedelta(days=90))


def _counted(session: Session, mine: int) -> None:
    """Also why a run was skipped."""
    session.get_one(Run, 1).state = RunState.SKIPPED
    session.flush()
    assert ledger.counters(session, mine, NOW).skipped == 1


def _waiting(session: Session, mine: int) -> None:
    """A run that is queued, and may be kept waiting by what a service told another one."""
    session.get_one(Run, 1).state = RunState.QUEUED
    session.flush()
    assert ledger.run_detail(session, mine, 1)


def _kept(session: Session, mine: int) -> None:
    """Switched off, on again, told, and the first of it run."""
    recipe = session.get_one(Recipe, 1)
    recipe.enabled = True
    keeping.begin(session, recipe, NOW)
    keeping.end(session, recipe, NOW + timedelta(days=1))
    assert cookbook.kept_events(session, mine, 1, NOW).count == 0
    assert cookbook.offers(session, mine) == []
    cookbook.run_kept(session, mine, 1, NOW)
    runs.make_kept_runs(session, now=NOW)


@contextmanager
def explained(engine: Engine, *kinds: str) -> Iterator[list[str]]:
    """How SQLite goes about every statement that begins with one of these words, in its own."""
    seen: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if not many and statement.startswith(kinds):
            cursor = connection.connection.cursor()
            seen.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            cursor.close()

    event.listen(engine, "before_cursor_execute", explain)
    yield seen
    event.remove(engine, "before_cursor_execute", explain)


@pytest.fixture
def plans(engine: Engine) -> Iterator[list[str]]:
    """How SQLite went about what was asked and changed."""
    with explained(engine, "SELECT", "UPDATE") as seen:
        yield seen


@pytest.mark.parametrize("name", ASKED)
def test_no_statement_reads_all_runs_or_events(kitchen: Kitchen, plans: list[str], name: str) -> None:
    number = kitchen.connect("ledger")
    kitchen.recipe("order.completed", step("ledger", "put_row", number, key="{{ order.id }}", columns={"A": "1"}))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", order(1))
    kitchen.deliver("order.refunded", order(2))
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    with transaction(kitchen.engine) as session:
        session.execute(update(Recipe).values(enabled=False))
    plans.clear()
    with transaction(kitchen.engine) as session:
        ASKED[name](session, kitchen.endpoint.merchant_id, number)
    _assert_none_reads_all(plans)


def test_nor_does_fanning_out_past_a_suspended_stores_events(kitchen: Kitchen, plans: list[str]) -> None:
    """They are passed over in the index of what waits; none is read."""
    kitchen.deliver("order.completed", order(1))
    with transaction(kitchen.engine) as session:
        runs.suspend(session, kitchen.endpoint.merchant_id, now=NOW)
    plans.clear()
    with transaction(kitchen.engine) as session:
        assert not runs.has_work(session, NOW)
        assert runs.fan_out(session, now=NOW) == 0
    waiting = [plan for plan in plans if "ix_event_to_fan_out" in plan]
    assert len(waiting) == 2
    plans.clear()
    with reading(kitchen.engine) as session:
        stopped_since(session, kitchen.endpoint.merchant_id, NOW)
    assert "ix_event_to_fan_out" in plans[0]
    _assert_none_reads_all(plans)


def test_nor_does_switching_off_read_all_that_a_recipe_did(kitchen: Kitchen, plans: list[str]) -> None:
    """It counts, and calls off, what is open and what waits as the recipe says."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger"), key="k", columns={"A": "1"}))
    with transaction(kitchen.engine) as session:
        cookbook.disable(session, kitchen.endpoint.merchant_id, 1, NOW, cancel_waiting=True)
    of_runs = [plan for plan in plans if " run " in plan]
    assert [plan for plan in of_runs if not any(name in plan for name in ("ix_run_open", "ix_run_delayed"))] == []
    assert all(any(name in plan for plan in of_runs) for name in ("ix_run_open", "ix_run_delayed"))


def test_nor_does_a_turn_read_what_waits_for_weeks(kitchen: Kitchen, plans: list[str]) -> None:
    """However many runs wait as their recipe says: each turn looks at the first of those whose time has come."""
    row = step("ledger", "put_row", kitchen.connect("ledger"), key="k", columns={"A": "1"})
    kitchen.recipe("order.completed", row | {"wait": "90 days"})
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    plans.clear()
    with transaction(kitchen.engine) as session:
        assert not runs.has_work(session, NOW)
        assert runs.end_waits(session, now=NOW) == 0
        assert runs.mend_due_times(session, now=NOW) == 0
        assert runs.claim(session, now=NOW, lease="x", limits=runs.Limits(), limit=8) == []
        stopped_since(session, kitchen.endpoint.merchant_id, NOW)
    of_those_that_wait = [plan for plan in plans if "ix_run_delayed" in plan]
    assert len(of_those_that_wait) >= 4
    assert [plan for plan in of_those_that_wait if not plan.startswith("SEARCH run USING")] == []
    _assert_none_reads_all(plans)


def test_an_accept_looks_up_keys_and_memories_in_their_index(kitchen: Kitchen, plans: list[str]) -> None:
    """However many events there are: each has keys that stay as long as it does."""
    kitchen.deliver("order.completed", order(1))
    assert [plan for plan in plans if "identity_" in plan and not plan.startswith("SEARCH")] == []
    assert {plan.split(" USING")[0] for plan in plans} >= {"SEARCH identity_key", "SEARCH identity_memory"}


def test_a_stores_week_and_a_buyers_events_are_found_in_an_index(kitchen: Kitchen, plans: list[str]) -> None:
    """Of a store with half a million events a week no event and no run is read to be counted, nor to find a buyer."""
    kitchen.deliver("order.completed", order(1))
    plans.clear()
    with reading(kitchen.engine) as session:
        assert ledger.counters(session, kitchen.endpoint.merchant_id, NOW).events == 1
        counted = [plan for plan in plans if "COVERING INDEX ix_" in plan]
        plans.clear()
        assert ledger.events_page(session, kitchen.endpoint.merchant_id, subject="jane@example.com").items
    assert any("ix_event_endpoint_id_received_at_id" in plan for plan in counted)
    assert any("ix_run_merchant_id_event_id_state" in plan for plan in counted)
    assert any("COVERING INDEX ix_event_merchant_id_subject_id (merchant_id=? AND subject=?)" in plan for plan in plans)


def test_nor_does_a_claim_past_a_sheet_that_is_written_to(kitchen: Kitchen, plans: list[str]) -> None:
    """Runs for the sheet are passed over in the order of the index, to the first that is for another."""
    number = kitchen.connect("google_sheets", service_account="")
    for sheet in ("s1", "s2"):
        fields = {"spreadsheet": sheet, "worksheet": "Orders", "key": "{{ order.id }}", "columns": {"A": "1"}}
        kitchen.recipe("order.completed", step("google_sheets", "put_row", number, **fields))
    for buyer in range(3):
        kitchen.deliver("order.completed", order(buyer, f"buyer{buyer}@example.com"))
    assert len(kitchen.claim(limit=1)) == 1
    plans.clear()
    assert len(kitchen.claim()) == 1
    assert any("ix_run_due" in plan for plan in plans)
    _assert_none_reads_all(plans)


def test_nor_does_the_claim_of_a_grant_that_waited(kitchen: Kitchen, plans: list[str]) -> None:
    """Whether it was undone since is found by keys alone, however much is remembered."""
    number = kitchen.connect("mailchimp")
    kitchen.recipe("order.completed", step("mailchimp", "add_tag", number, audience="a", email="e", tag="t"))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", order(1))
    kitchen.later(seconds=2)
    plans.clear()
    assert [each.objection and each.objection.sentence for each in kitchen.claim()] == [
        "This order was refunded on 24 July. Nothing was given."
    ]
    _assert_none_reads_all(plans)
    assert [plan for plan in plans if plan.startswith(("SCAN identity_memory", "SCAN let_through"))] == []


def test_nor_does_the_claim_of_what_takes(kitchen: Kitchen, plans: list[str]) -> None:
    """The buyer's other orders, and what was done for them, are found by the buyer."""
    number = kitchen.connect("mailchimp")
    tag = {"audience": "a", "email": "{{ buyer.email }}", "tag": "t"}
    kitchen.recipe("order.completed", step("mailchimp", "add_tag", number, **tag))
    kitchen.recipe("order.refunded", step("mailchimp", "remove_tag", number, **tag))
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    kitchen.deliver("order.refunded", order(1))
    plans.clear()
    said = "The buyer also has an order, of 24 July, that gives the same. Nothing was taken."
    assert [each.objection and each.objection.sentence for each in kitchen.claim()] == [said]
    assert any("ix_event_merchant_id_subject_id" in plan for plan in plans)
    assert "SEARCH gift USING INDEX sqlite_autoindex_gift_1 (endpoint_id=? AND name=?)" in plans
    _assert_none_reads_all(plans)


def _assert_none_reads_all(plans: list[str]) -> None:
    assert plans
    whole = [
        plan for plan in plans if plan.startswith(("SCAN run", "SCAN event", "SCAN attempt")) and " USING " not in plan
    ]
    assert whole == []
