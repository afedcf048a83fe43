"""What came while a recipe was off is asked about on its page; a suspended store says that nothing runs."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from recipes import cookbook
from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import Endpoint, Event, Kept, Merchant, OffPeriod
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import World, add_event

OFFER = "2 events came while this was off: run them?"


@pytest.fixture
def off(engine: Engine, world: World, merchant: Merchant, endpoint: Endpoint) -> str:
    """The recipe's page; it has been off for a while, and two reviews came."""
    with transaction(engine) as session:
        cookbook.disable(session, world.merchant_id, world.recipe_id, NOW - timedelta(minutes=3))
        for minutes in (2, 1):
            add_event(session, merchant, endpoint, NOW - timedelta(minutes=minutes))
    return f"/recipes/{world.recipe_id}"


def _say(browser: Browser, page: str, word: str) -> str:
    """Presses one of the offer's buttons; the page that comes."""
    assert browser.post(f"{page}/kept", {"do": word}).location == page
    return browser.get(page).text


def _decided(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [period.kept for period in session.exec(select(OffPeriod).where(OffPeriod.decided_at == NOW))]


def test_switching_on_leads_to_the_offer(engine: Engine, owner: Browser, off: str) -> None:
    """Without the script; the offer stays there until it is decided."""
    answer = owner.post(f"{off}/switch", {"on": "yes"})
    assert answer.location == off
    for _ in range(2):
        assert OFFER in owner.get(off).text
    assert "being run now" in _say(owner, off, "run")
    assert OFFER not in owner.get(off).text
    assert set(_decided(engine)) == {Kept.RUNNING}
    with transaction(engine) as session:
        while runs.has_kept_work(session):
            runs.make_kept_runs(session, now=NOW)
    assert "2 runs were made of what came while it was off." in owner.get(off).text
    later = "Made later: it came while the recipe was off."
    assert [later in owner.get(f"/runs/{number}").text for number in (1, 2, 3)] == [False, True, True]


def test_an_event_says_that_its_recipe_was_off(owner: Browser, off: str, world: World) -> None:
    """Not that none is: what to do about it, and then what was said of it; on its page and in the list."""
    event = f"/activity/events/{world.event_id + 1}"
    offered = "It came while “Post reviews to Slack” was off: "
    assert f"{offered}switch it on, and you are asked." in owner.get(event).text
    owner.post(f"{off}/switch", {"on": "yes"})
    assert f"{offered}the recipe&#39;s page asks whether to run it." in owner.get(event).text
    _say(owner, off, "leave")
    for page in (event, "/activity"):
        said = owner.get(page).text
        assert "You left it as it is: “Post reviews to Slack” was off." in said
        assert "No recipe is on for this." not in said


def test_home_and_the_shelf_tell_of_the_offer(owner: Browser, off: str) -> None:
    """With a link, until it is decided; while the recipe is off its own page says what waits, and asks nothing."""
    assert "2 events came since this is off: switch it on, and you are asked" in owner.get(off).text
    assert "Run them" not in owner.get(off).text
    for page in ("/", "/recipes"):
        assert "events came" not in owner.get(page).text
    owner.post(f"{off}/switch", {"on": "yes"})
    for page in ("/", "/recipes"):
        said = owner.get(page).text
        assert OFFER in said
        assert f'href="{off}"' in said
    _say(owner, off, "leave")
    for page in ("/", "/recipes"):
        assert OFFER not in owner.get(page).text


def test_the_script_is_told_that_there_is_a_question(owner: Browser, off: str) -> None:
    said = owner.post(f"{off}/switch", {"on": "yes"}, Accept="application/json").json
    assert said is not None
    assert (said["on"], said["asks"], said["url"]) == (True, True, off)


def test_leaving_them_is_one_press(engine: Engine, owner: Browser, off: str) -> None:
    """A second press says that there is nothing left to decide."""
    owner.post(f"{off}/switch", {"on": "yes"})
    assert "They stay stored" in _say(owner, off, "leave")
    assert set(_decided(engine)) == {Kept.LEFT}
    assert "waits for your word any more" in _say(owner, off, "run")
    assert owner.post(f"{off}/kept", {"do": "else"}).status_code == 400


def test_a_strangers_word_counts_for_nothing(engine: Engine, owner: Browser, stranger: Browser, off: str) -> None:
    owner.post(f"{off}/switch", {"on": "yes"})
    stranger.post(f"{off}/kept", {"do": "run"})
    assert _decided(engine) == []


def test_every_page_of_a_suspended_store_says_so(engine: Engine, owner: Browser, world: World, off: str) -> None:
    """And Home does not say that all is well, nor an event that it is about to be looked at."""
    with transaction(engine) as session:
        runs.suspend(session, world.merchant_id, now=NOW)
        session.get_one(Event, world.event_id + 1).fanned_out_at = None
    page = owner.get(f"/activity/events/{world.event_id + 1}").text
    assert "Kept: the store is suspended. Once it is resumed, this runs in its turn." in page
    assert "Reload this page" not in page
    for page in ("/", "/recipes", "/activity"):
        assert "This store is suspended: what comes in is kept" in owner.get(page).text
    assert "Nothing runs while the store is suspended." in owner.get("/").text
    with transaction(engine) as session:
        runs.resume(session, world.merchant_id, now=NOW)
    assert "suspended" not in owner.get("/").text
