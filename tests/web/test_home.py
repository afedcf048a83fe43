"""Home tells at a glance whether all is well, and what to do if not."""

from datetime import timedelta

from sqlalchemy import Engine

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import Attempt, AttemptResult, Endpoint, Event, Merchant, Run, RunState
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import World, add_event


def test_an_empty_store_is_shown_the_way(stranger: Browser) -> None:
    """Four steps, none done, each with its button; nothing is said to be wrong."""
    page = stranger.get("/").text
    assert "0 of 4 done" in page
    assert "What needs you" not in page
    assert "Nothing has come in yet" in page


def test_steps_are_ticked_off(engine: Engine, owner: Browser, endpoint: Endpoint, world: World) -> None:
    """Without Pocketsflow's secret the first one is left, and it is not told twice."""
    with transaction(engine) as session:
        session.get_one(Endpoint, endpoint.id).secret = None
    page = owner.get("/").text
    assert "2 of 4 done" in page
    assert "Paste Pocketsflow" not in page


def test_a_recipe_has_been_seen_at_work_once_it_has_done_something(
    engine: Engine, owner: Browser, world: World
) -> None:
    """Not when an event came in for which no recipe is on, nor when its run failed."""
    assert "3 of 4 done" in owner.get("/").text
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.SUCCEEDED
    assert "First steps" not in owner.get("/").text


def test_a_failed_run_is_told_with_its_reason_and_a_button(owner: Browser, world: World) -> None:
    """The gravest first, each with what mends it."""
    page = owner.get("/").text
    assert "1 thing needs you." in page
    assert "This channel is gone: choose another one." in page
    assert f'href="/runs/{world.run_id}"' in page


def test_all_is_well(engine: Engine, owner: Browser, world: World) -> None:
    """Said in one line."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.SUCCEEDED
    page = owner.get("/").text
    assert "Your recipe works." in page
    assert "1 event in the last 7 days." in page


def test_what_failed_and_what_needs_a_word_are_counted_apart(engine: Engine, owner: Browser, world: World) -> None:
    """As `pocketwire status` does; skipped by its conditions is only what was."""
    with transaction(engine) as session:
        run = session.get_one(Run, world.run_id)
        for again, state in enumerate((RunState.SUCCEEDED, RunState.UNSURE, RunState.SKIPPED, RunState.SKIPPED), 1):
            session.add(Run(**run.model_dump(exclude={"id"}) | {"again": again, "state": state}))
        session.flush()
        session.add(
            Attempt(
                run_id=run.id + 4 if run.id else 0, step=0, number=1, started_at=NOW, milliseconds=0,
                result=AttemptResult.SKIPPED, outcome="Nothing was taken.", request={},
            )
        )  # fmt: skip
    page = owner.get("/").text
    for words in ("Failed", "Need your word", "Skipped by conditions", "Left out"):
        assert f"<div><dt>{words}</dt><dd>1</dd></div>" in page


def test_a_run_that_is_tried_again_is_said(engine: Engine, owner: Browser, world: World) -> None:
    """Not “all recipes work” while one waits for its service; and nobody is asked to do anything."""
    with transaction(engine) as session:
        run = session.get_one(Run, world.run_id)
        run.state, run.attempt = RunState.WAITING, 2
        session.add(Run(**run.model_dump(exclude={"id"}) | {"again": 1, "state": RunState.SUCCEEDED}))
    page = owner.get("/").text
    assert "1 run is being tried again." in page
    assert "recipe works" not in page
    assert "What needs you" not in page


def test_a_paused_connection_says_how_many_wait(engine: Engine, owner: Browser, world: World) -> None:
    """With the way to reconnect."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.QUEUED
        runs.hold(session, world.connection_id, reason="Slack does not accept our token.", now=NOW)
    page = owner.get("/").text
    assert "Reconnect Slack: 1 run is waiting." in page
    assert f'href="/connections/{world.connection_id}"' in page


def test_a_silence_is_said_with_where_to_look(engine: Engine, owner: Browser, world: World, endpoint: Endpoint) -> None:
    """A store that sold every day and from which nothing has come for four."""
    with transaction(engine) as session:
        merchant = session.get_one(Merchant, world.merchant_id)
        for day in range(4, 34):
            add_event(session, merchant, endpoint, NOW - timedelta(days=day))
        session.get_one(Event, world.event_id).received_at = NOW - timedelta(days=34)
        session.get_one(Run, world.run_id).state = RunState.SUCCEEDED
    page = owner.get("/").text
    assert "1 thing needs you." in page
    assert "Nothing has come from Pocketsflow since Monday, 20 July" in page
    assert '#live">Look at the address<' in page


def test_no_recipe_on_is_said(owner: Browser, world: World) -> None:
    """Events are kept, and nothing is done about them: the merchant should know."""
    owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "no"})
    assert "2 of 4 done" in owner.get("/").text


def test_times_are_the_stores_own(owner: Browser, world: World) -> None:
    """In its zone, with how long ago beside it."""
    owner.post("/account/store", {"name": "Acme Books", "time_zone": "Europe/Berlin"})
    local = (NOW - timedelta(minutes=5) + timedelta(hours=2)).strftime("%H:%M")
    assert f'24 Jul, {local} <span class="ago">(5 min ago)</span>' in owner.get("/").text
