"""Many runs that nobody is sure about are answered together, without JavaScript."""

import json

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from recipes.db import reading, transaction
from recipes.models import Connection, Endpoint, Event, Merchant, Recipe, Run, RunState
from recipes.spool import Delivery
from recipes.storing import store
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import World, add_event, add_run, number

LIST = "/activity/runs?show=unsure"


@pytest.fixture
def unsure(engine: Engine, world: World, merchant: Merchant, endpoint: Endpoint) -> list[int]:
    """Three runs that nobody is sure about; their ids."""
    with transaction(engine) as session:
        recipe, connection = session.get_one(Recipe, world.recipe_id), session.get_one(Connection, world.connection_id)
        events = [add_event(session, merchant, endpoint, NOW) for _ in range(3)]
        return [number(add_run(session, event, recipe, connection, RunState.UNSURE)) for event in events]


def _states(engine: Engine, runs: list[int]) -> list[str]:
    with reading(engine) as session:
        return [session.get_one(Run, run_id).state for run_id in runs]


def test_the_form_names_what_it_is_about(owner: Browser, unsure: list[int]) -> None:
    """Only the runs that the page shows, only where they are asked about, and the service to look at."""
    for show in ("unsure", "needs-you"):
        page = owner.get(f"/activity/runs?show={show}").text
        assert "whether these 3 were done. Look at Slack, then" in page
        assert [f'name="run" value="{run}"' in page for run in unsure] == [True] * 3
    for show in ("", "failed"):
        assert "All were done" not in owner.get(f"/activity/runs?show={show}").text


@pytest.mark.parametrize(
    ("word", "state", "said"),
    [
        ("done", RunState.SUCCEEDED, "3 runs marked done."),
        ("again", RunState.QUEUED, "3 runs will be done again."),
    ],
)
def test_one_word_answers_for_all(
    engine: Engine, owner: Browser, world: World, unsure: list[int], word: str, state: str, said: str
) -> None:
    """And for no other: one that was answered meanwhile is not done twice, one that failed stays as it is."""
    form = {"do": word, "run": [*unsure, world.run_id]}
    answer = owner.post(f"/activity/runs/answer?show=unsure&recipe={world.recipe_id}", form)
    assert answer.location == f"/activity/runs?show=unsure&recipe={world.recipe_id}"
    assert said in owner.get(answer.location).text
    owner.post("/activity/runs/answer?show=unsure", form)
    assert _states(engine, [*unsure, world.run_id]) == [state] * 3 + [RunState.FAILED]
    with reading(engine) as session:
        assert len(session.exec(select(Run)).all()) == 4


def test_what_was_undone_since_needs_a_word_of_its_own(
    engine: Engine, owner: Browser, world: World, endpoint: Endpoint, unsure: list[int]
) -> None:
    """The others are done all the same."""
    sale = {"order": {"id": "order_1"}, "amount": 64.99, "currency": "usd", "customer": {"email": "ada@example.com"}}
    for event in ("order.completed", "order.refunded"):
        delivery = Delivery(
            endpoint_id=number(endpoint), merchant_id=endpoint.merchant_id, mode=endpoint.mode,
            body=json.dumps(sale).encode(), event_header=event, timestamp_header=None, received_at=NOW,
        )  # fmt: skip
        assert store(engine, [delivery]) == [True]
    with transaction(engine) as session:
        sold = session.exec(select(Event.id).where(col(Event.type) == "order.completed")).one()
        session.get_one(Run, unsure[1]).event_id = sold or 0
    answer = owner.post("/activity/runs/answer", {"do": "again", "run": unsure})
    page = owner.get(answer.location).text
    assert "2 runs will be done again." in page
    assert "1 run needs a look of your own" in page
    assert _states(engine, unsure) == [RunState.QUEUED, RunState.UNSURE, RunState.QUEUED]


def test_a_stranger_answers_for_nobody(engine: Engine, stranger: Browser, owner: Browser, unsure: list[int]) -> None:
    """Whatever ids are sent; and a word that is none is refused."""
    stranger.post("/activity/runs/answer", {"do": "done", "run": unsure})
    assert owner.post("/activity/runs/answer", {"do": "maybe", "run": unsure}).status_code == 400
    assert _states(engine, unsure) == [RunState.UNSURE] * 3
