"""What has been undone since runs only when it is confirmed; what came too late runs when it is asked for."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from recipes.db import reading, transaction
from recipes.models import Connection, Endpoint, Event, Recipe, RecipeVersion, Run, RunState
from recipes.spool import Delivery
from recipes.storing import store
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import World, add_run, number

SALE = {"order": {"id": "order_1"}, "amount": 64.99, "currency": "usd", "customer": {"email": "ada@example.com"}}
ROW = "and write over what a row of a table says by now."
REFUNDED = f"This order was refunded on 24 July. Running this again may give access back, {ROW}"

Deliver = Callable[[str], None]


@pytest.fixture
def deliver(engine: Engine, endpoint: Endpoint) -> Deliver:
    """Brings in an event about the order."""

    def bring_in(event: str) -> None:
        delivery = Delivery(
            endpoint_id=number(endpoint), merchant_id=endpoint.merchant_id, mode=endpoint.mode,
            body=json.dumps(SALE).encode(), event_header=event, timestamp_header=None, received_at=NOW,
        )  # fmt: skip
        assert store(engine, [delivery]) == [True]

    return bring_in


@pytest.fixture
def sold(engine: Engine, world: World, deliver: Deliver) -> int:
    """A run of a sale that was refunded since; its id."""
    deliver("order.completed")
    with transaction(engine) as session:
        sale = session.get_one(Event, world.event_id + 1)
        recipe, connection = session.get_one(Recipe, world.recipe_id), session.get_one(Connection, world.connection_id)
        run = number(add_run(session, sale, recipe, connection, RunState.SUCCEEDED))
    deliver("order.refunded")
    return run


def _state(engine: Engine, run_id: int) -> str:
    with reading(engine) as session:
        return session.get_one(Run, run_id).state


def test_running_again_what_was_undone_asks_first(engine: Engine, owner: Browser, sold: int) -> None:
    """A plain press is answered with what happened and a second button, and nothing runs; without JavaScript."""
    assert REFUNDED not in owner.get(f"/runs/{sold}").text
    asked = owner.post(f"/runs/{sold}/again")
    assert asked.status_code == 409
    for said in (REFUNDED, "Run it all the same", "Leave it as it is", f'action="/runs/{sold}/again"'):
        assert said in asked.text
    with reading(engine) as session:
        assert session.get(Run, sold + 1) is None
    answer = owner.post(f"/runs/{sold}/again", {"all_the_same": "yes"})
    assert answer.location == f"/runs/{sold + 1}"
    assert _state(engine, sold + 1) == RunState.QUEUED


@pytest.mark.parametrize("form", [{"all_the_same": ""}, {"all_the_same": "no"}, {"again": "yes"}])
def test_nothing_but_the_button_confirms(engine: Engine, owner: Browser, sold: int, form: dict[str, Any]) -> None:
    """Whatever else a form holds, nothing runs."""
    with transaction(engine) as session:
        session.get_one(Run, sold).state = RunState.FAILED
    assert owner.post(f"/runs/{sold}/again", form).status_code == 409
    assert _state(engine, sold) == RunState.FAILED


def test_taking_as_done_asks_before_the_next_step(engine: Engine, owner: Browser, sold: int) -> None:
    """The first step's doubt is settled by that, but the second comes after the refund."""
    with transaction(engine) as session:
        run = session.get_one(Run, sold)
        run.state = RunState.UNSURE
        version = session.get_one(RecipeVersion, run.version_id)
        version.definition = {**version.definition, "steps": version.definition["steps"] * 2}
    asked = owner.post(f"/runs/{sold}/done")
    assert asked.status_code == 409
    for said in (REFUNDED, "Take it as done and go on all the same", f'action="/runs/{sold}/done"'):
        assert said in asked.text
    assert _state(engine, sold) == RunState.UNSURE
    owner.post(f"/runs/{sold}/done", {"all_the_same": "yes"})
    assert _state(engine, sold) == RunState.QUEUED


@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_others_are_told_nothing_about_it(
    request: pytest.FixtureRequest, engine: Engine, sold: int, world: World, deliver: Deliver, who: str
) -> None:
    """Neither with nor without the confirmation."""
    browser: Browser = request.getfixturevalue(who)
    with transaction(engine) as session:
        session.get_one(Run, sold).state = RunState.FAILED
    for form in ({}, {"all_the_same": "yes"}):
        answer = browser.post(f"/runs/{sold}/again", form)
        assert answer.status_code == (404 if who == "stranger" else 302)
        assert "refunded" not in answer.text
    assert _state(engine, sold) == RunState.FAILED


@pytest.fixture
def late(world: World, deliver: Deliver) -> int:
    """A sale that came after its refund; the event's id."""
    deliver("order.refunded")
    deliver("order.completed")
    return world.event_id + 2


def test_a_late_sale_says_why_it_did_not_run_and_can_be_run(engine: Engine, owner: Browser, late: int) -> None:
    """Home leads to it; the button is there only as long as it is of use."""
    assert f'href="/activity/events/{late}"' in owner.get("/").text
    page = owner.get(f"/activity/events/{late}").text
    for said in (
        "This sale came after its refund.",
        "may also give back access",
        "a row of a table",
        "Run it all the same",
    ):
        assert said in page
    answer = owner.post(f"/activity/events/{late}/run")
    page = owner.get(answer.location).text
    assert "It runs now." in page
    assert "About to be looked at." in page
    assert "Run it all the same" not in page
    with reading(engine) as session:
        event = session.get_one(Event, late)
        assert (event.standing, event.fanned_out_at) == ("ready", None)


def test_an_event_that_is_not_late_cannot_be_run_like_that(owner: Browser, world: World) -> None:
    """It says so."""
    assert "Run it all the same" not in owner.get(f"/activity/events/{world.event_id}").text
    answer = owner.post(f"/activity/events/{world.event_id}/run")
    assert "Only an event that was kept because it came too late" in owner.get(answer.location).text


@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_others_cannot_run_a_late_event(request: pytest.FixtureRequest, engine: Engine, late: int, who: str) -> None:
    """Another store's events are as if they did not exist."""
    browser: Browser = request.getfixturevalue(who)
    assert browser.post(f"/activity/events/{late}/run").status_code == (404 if who == "stranger" else 302)
    with reading(engine) as session:
        assert session.get_one(Event, late).standing == "suspicious"
