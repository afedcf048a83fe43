"""What has gone quiet is noticed by itself, says what to look at, and is over when it is over."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update
from sqlmodel import select

from recipes import engine as runs
from recipes import ledger, upkeep
from recipes.db import reading, transaction
from recipes.ledger.quiet import _rhythm
from recipes.models import (
    Account,
    Endpoint,
    Event,
    Membership,
    Origin,
    Recipe,
    RejectedDelivery,
    Run,
    RunState,
)
from recipes.settings import Settings
from recipes.silence import rhythm_of
from tests.conftest import both_databases
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.test_upkeep import Box

pytestmark = both_databases

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]

SALE = "order.completed"


def _sell(kitchen: Kitchen, times: list[datetime], name: str = SALE, origin: Origin = Origin.WEBHOOK) -> None:
    """Events that came at these times, and are done with."""
    rows = [
        {
            "merchant_id": kitchen.endpoint.merchant_id, "endpoint_id": kitchen.endpoint.id, "mode": "live",
            "type": name, "origin": origin, "standing": "ready", "standing_reason": "", "occurred_at": at,
            "received_at": at, "body": b"{}", "fanned_out_at": at,
        }
        for at in times
    ]  # fmt: skip
    with transaction(kitchen.engine) as session:
        session.connection().execute(insert(Event), rows)


def _daily(kitchen: Kitchen, days: int, until: int = 0) -> list[datetime]:
    """Noon of each of so many days, the last one `until` days ago."""
    return [kitchen.now - timedelta(days=until + day) for day in reversed(range(days))]


def _ran(kitchen: Kitchen, recipe_id: int, state: RunState = RunState.SUCCEEDED) -> None:
    """A run of the recipe for every sale that has none."""
    with transaction(kitchen.engine) as session:
        have = select(Run.event_id).where(Run.recipe_id == recipe_id)
        for event in session.exec(select(Event).where(Event.type == SALE, ~Event.id.in_(have))):  # type: ignore[union-attr]
            session.add(
                Run(
                    merchant_id=event.merchant_id, event_id=event.id or 0, recipe_id=recipe_id, version_id=recipe_id,
                    lane=str(event.id), order_at=event.occurred_at, state=state, due_at=event.received_at,
                    created_at=event.received_at, finished_at=event.received_at,
                )
            )  # fmt: skip


def _recipe(kitchen: Kitchen) -> int:
    """One that has been on for a long time."""
    number = kitchen.recipe(SALE, step("ledger", "put_row", None, key="k", columns={"A": "1"}))
    with transaction(kitchen.engine) as session:
        session.execute(update(Recipe).values(enabled_at=kitchen.now - timedelta(days=90)))
    return number


def _said(kitchen: Kitchen) -> list[str]:
    with reading(kitchen.engine) as session:
        return [
            f"{each.sentence} {each.note}"
            for each in ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now)
        ]


# ── The store ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_that_went_quiet_is_told_until_something_comes(kitchen: Kitchen) -> None:
    """What is quiet, since when, how long is usual, where to look."""
    _sell(kitchen, _daily(kitchen, 30, until=4))
    [said] = _said(kitchen)
    assert said.startswith(
        "Nothing has come from Pocketsflow since Monday, 20 July: before, no pause was longer than 24 h"
    )
    assert "Pocketsflow › Developers › Webhooks" in said
    _sell(kitchen, [kitchen.now])
    assert _said(kitchen) == []


def test_samples_and_what_we_found_ourselves_are_no_deliveries(kitchen: Kitchen) -> None:
    _sell(kitchen, _daily(kitchen, 30, until=4))
    for origin in (Origin.SAMPLE, Origin.RECONCILED):
        _sell(kitchen, [kitchen.now], origin=origin)
    assert len(_said(kitchen)) == 1


def test_a_store_whose_deliveries_are_refused_is_told_that_instead(kitchen: Kitchen) -> None:
    _sell(kitchen, _daily(kitchen, 30, until=4))
    with transaction(kitchen.engine) as session:
        session.add(
            RejectedDelivery(
                endpoint_id=kitchen.endpoint.id or 0, reason="the signature is wrong", count=3,
                first_at=kitchen.now - timedelta(days=3), last_at=kitchen.now,
            )
        )  # fmt: skip
    [said] = _said(kitchen)
    assert "3 deliveries refused" in said


@pytest.mark.parametrize("days", [1, 19])
def test_a_handful_is_no_rhythm(kitchen: Kitchen, days: int) -> None:
    _sell(kitchen, _daily(kitchen, days, until=60))
    assert _said(kitchen) == []


def test_without_a_secret_nothing_is_missed(kitchen: Kitchen) -> None:
    _sell(kitchen, _daily(kitchen, 30, until=4))
    with transaction(kitchen.engine) as session:
        session.get_one(Endpoint, kitchen.endpoint.id).secret = None
    assert [said[:24] for said in _said(kitchen)] == ["Paste Pocketsflow's sign"]


def test_the_rhythm_is_found_without_reading_every_delivery(kitchen: Kitchen) -> None:
    """The same as from all the times, but for pauses that make no difference."""
    for seed in range(5):
        chance = random.Random(seed)
        times, at = [], kitchen.now - timedelta(days=40)
        while at < kitchen.now:
            times.append(at)
            at += timedelta(hours=chance.choice([0.1, 1, 7, 9, 12, 30]) * chance.random())
        with transaction(kitchen.engine) as session:
            session.execute(update(Event).values(origin=Origin.SAMPLE))
        _sell(kitchen, times)
        rhythm = rhythm_of(each for each in times if each >= times[-1] - timedelta(days=30))
        with reading(kitchen.engine) as session:
            found = _rhythm(session, kitchen.endpoint.id or 0, times[-1])
        assert rhythm is not None
        assert (found.first, found.last) == (rhythm.first, rhythm.last)
        assert found.longest == max(rhythm.longest, timedelta(hours=8))


# ── Recipes ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_recipe_whose_event_stopped_coming(kitchen: Kitchen) -> None:
    """Though the store goes on selling other things."""
    recipe = _recipe(kitchen)
    _sell(kitchen, _daily(kitchen, 30, until=10))
    _sell(kitchen, _daily(kitchen, 40), name="review.created")
    _ran(kitchen, recipe)
    [said] = _said(kitchen)
    assert said.startswith("“A recipe” is on and has done nothing since Tuesday, 14 July: before, it did something")
    assert "No event of its kind has come." in said
    assert "“New sale” (order.completed) is chosen" in said


def test_a_recipe_whose_conditions_let_nothing_through_any_more(kitchen: Kitchen) -> None:
    recipe = _recipe(kitchen)
    _sell(kitchen, _daily(kitchen, 30, until=10))
    _ran(kitchen, recipe)
    _sell(kitchen, _daily(kitchen, 10))
    _ran(kitchen, recipe, RunState.SKIPPED)
    [said] = _said(kitchen)
    assert "its conditions let none of them through" in said
    with transaction(kitchen.engine) as session:
        session.get_one(Run, len(kitchen.runs())).state = RunState.SUCCEEDED
    assert _said(kitchen) == []


def test_a_recipe_that_takes_none_of_what_comes(kitchen: Kitchen) -> None:
    recipe = _recipe(kitchen)
    _sell(kitchen, _daily(kitchen, 30, until=10))
    _ran(kitchen, recipe)
    _sell(kitchen, _daily(kitchen, 10))
    [said] = _said(kitchen)
    assert "it took none of them" in said


def test_a_quiet_store_is_said_once_and_not_of_each_recipe(kitchen: Kitchen) -> None:
    recipe = _recipe(kitchen)
    _sell(kitchen, _daily(kitchen, 30, until=10))
    _ran(kitchen, recipe)
    [said] = _said(kitchen)
    assert said.startswith("Nothing has come from Pocketsflow")


@pytest.mark.parametrize(
    "change",
    [{"enabled": False}, {"enabled_at": timedelta(days=-2)}],
    ids=["off", "on again only since two days"],
)
def test_a_recipe_that_cannot_have_run_is_not_missed(kitchen: Kitchen, change: dict[str, Any]) -> None:
    recipe = _recipe(kitchen)
    _sell(kitchen, _daily(kitchen, 30, until=10))
    _sell(kitchen, _daily(kitchen, 40), name="review.created")
    _ran(kitchen, recipe)
    values = {name: kitchen.now + value if isinstance(value, timedelta) else value for name, value in change.items()}
    with transaction(kitchen.engine) as session:
        session.execute(update(Recipe).values(**values))
    assert _said(kitchen) == []


def test_a_busy_recipe_is_missed_though_its_last_runs_are_all_of_one_day(kitchen: Kitchen) -> None:
    """The look-up reads its latest runs only; they tell nothing of the weeks before."""
    recipe = _recipe(kitchen)
    last = kitchen.now - timedelta(days=10)
    _sell(kitchen, [last - timedelta(minutes=minutes) for minutes in range(600)])
    _sell(kitchen, _daily(kitchen, 40), name="review.created")
    _ran(kitchen, recipe)
    assert "“A recipe” is on" in _said(kitchen)[0]


# ── The engine ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def waiting(kitchen: Kitchen) -> Kitchen:
    """A connection with two buyers' runs, fanned out."""
    connection = kitchen.connect("ledger")
    kitchen.recipe(SALE, step("ledger", "put_row", connection, key="{{ order.id }}", table="T", columns={"A": "1"}))
    for number in (1, 2):
        kitchen.deliver(SALE, order(number, f"{number}@example.com"))
    kitchen.claim(limit=0)
    return kitchen


STOPPED = "Nothing is being done: "


def test_an_engine_that_does_nothing_is_told_until_it_does(waiting: Kitchen) -> None:
    waiting.later(minutes=4)
    assert _said(waiting) == []
    waiting.later(minutes=2)
    [said] = _said(waiting)
    assert said.startswith(STOPPED + "a run has been waiting since Friday, 24 July, 12:00.")
    waiting.work()
    assert _said(waiting) == []


def test_an_event_that_nobody_looks_at(waiting: Kitchen) -> None:
    waiting.work()
    waiting.deliver(SALE, order(3))
    waiting.later(minutes=6)
    assert _said(waiting)[0].startswith(STOPPED + "an event has been waiting")
    with transaction(waiting.engine) as session:
        runs.suspend(session, waiting.endpoint.merchant_id, now=waiting.now)
    assert _said(waiting) == []


def test_an_engine_that_works_through_much_is_not_stopped(waiting: Kitchen) -> None:
    """A service that takes sixty calls a minute: the last of a thousand waits for a quarter of an hour."""
    waiting.later(minutes=6)
    waiting.finish(waiting.claim(limit=1))
    assert _said(waiting) == []


def test_what_waits_for_its_connection_is_not_the_engines_fault(waiting: Kitchen) -> None:
    """Paused, or left alone because the service asked for it."""
    connection = waiting.runs()[0].connection_id or 0
    with transaction(waiting.engine) as session:
        run = session.get_one(Run, 1)
        run.state, run.attempt, run.due_at = RunState.WAITING, 1, waiting.now + timedelta(hours=1)
    waiting.later(minutes=6)
    assert _said(waiting) == []
    waiting.later(hours=2)
    assert len(_said(waiting)) == 1
    with transaction(waiting.engine) as session:
        runs.hold(session, connection, reason="No.", now=waiting.now)
    assert [said for said in _said(waiting) if said.startswith(STOPPED)] == []


def test_each_silence_is_told_once_by_mail(kitchen: Kitchen, engine: Engine, settings: Settings) -> None:
    """Again only when it had been over in between."""
    with transaction(engine) as session:
        person = Account(email="ada@example.com", password="x", fs_uniquifier="1", created_at=kitchen.now)
        session.add(person)
        session.flush()
        session.add(Membership(account_id=person.id or 0, merchant_id=kitchen.endpoint.merchant_id))
    _sell(kitchen, _daily(kitchen, 30, until=4))
    box = Box(settings)

    def notice() -> int:
        return upkeep.notice_silences(engine, box, "https://wire.example", kitchen.now)

    assert [notice(), notice()] == [1, 0]
    [(recipient, subject, text)] = box.sent
    assert (recipient, subject[:35]) == ("ada@example.com", "Nothing has come from Pocketsflow s")
    assert "Developers › Webhooks" in text
    _sell(kitchen, [kitchen.now])
    assert notice() == 0
    kitchen.later(days=20)
    assert [notice(), notice(), len(box.sent)] == [1, 0, 2]
