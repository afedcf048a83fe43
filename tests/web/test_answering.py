"""Many runs that nobody is sure about are answered together, without JavaScript."""

import json
import re

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from recipes.db import reading, transaction
from recipes.models import Attempt, Connection, Endpoint, Event, Merchant, Recipe, Run, RunState
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
    again = owner.post("/activity/runs/answer?show=unsure", form)
    assert "4 runs have gone on since you opened the page" in owner.get(again.location).text
    assert _states(engine, [*unsure, world.run_id]) == [state] * 3 + [RunState.FAILED]
    with reading(engine) as session:
        assert len(session.exec(select(Run)).all()) == 4


@pytest.mark.parametrize("word", ["done", "again"])
def test_an_answer_is_for_a_run_as_the_page_showed_it(
    engine: Engine, owner: Browser, unsure: list[int], word: str
) -> None:
    """By now it may be another step that is asked about, unlooked at: such a run is left, the others are answered."""
    seen = dict(re.findall(r'name="(seen-[0-9]+)" value="([^"]+)"', owner.get(LIST).text))
    assert seen.keys() == {f"seen-{run}" for run in unsure}
    _try_once_more(engine, unsure[1])
    answer = owner.post("/activity/runs/answer?show=unsure", {"do": word, "run": unsure, **seen})
    page = owner.get(answer.location).text
    assert "2 runs" in page
    assert "1 run has gone on since you opened the page: no answer was taken." in page
    state = RunState.SUCCEEDED if word == "done" else RunState.QUEUED
    assert _states(engine, unsure) == [state, RunState.UNSURE, state]


def test_so_it_is_on_a_runs_own_page(engine: Engine, owner: Browser, unsure: list[int]) -> None:
    """It says so, and takes the word once it was looked at."""
    run = unsure[0]
    page = owner.get(f"/runs/{run}").text
    seen = _seen_of_done(page)
    _try_once_more(engine, run)
    page = owner.get(owner.post(f"/runs/{run}/done", {"seen": seen}).location).text
    assert "This run has gone on meanwhile: look at how it went before you mark it done." in page
    assert _states(engine, [run]) == [RunState.UNSURE]
    owner.post(f"/runs/{run}/done", {"seen": _seen_of_done(page)})
    assert _states(engine, [run]) == [RunState.SUCCEEDED]


def _seen_of_done(page: str) -> str:
    (seen,) = re.findall(r'action="/runs/[0-9]+/done">.*?name="seen" value="([^"]+)"', page)
    return str(seen)


def _try_once_more(engine: Engine, run_id: int) -> None:
    """Answered elsewhere, and in doubt once more."""
    with transaction(engine) as session:
        tried = session.exec(select(Attempt).where(Attempt.run_id == run_id)).one()
        session.add(Attempt(**tried.model_dump(exclude={"id"})))


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
