"""Activity: events and runs in plain words, and what can be asked of a run."""

import html
import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import func, select

from recipes import engine as runs
from recipes import ledger
from recipes.db import reading, transaction
from recipes.models import Attempt, Endpoint, Event, LedgerRow, Merchant, Run, RunState, Standing
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import World, add_event

PRIVATE = "https://portal.example/private-link-of-a-buyer"


def test_events_are_listed_and_narrowed_down(owner: Browser, world: World) -> None:
    """By type, side and buyer."""
    assert "ada@example.com" in owner.get("/activity").text
    assert "ada@example.com" in owner.get("/activity?type=review.created&mode=live").text
    assert "Nothing like that" in owner.get("/activity?type=order.refunded").text
    assert "Nothing like that" in owner.get("/activity?mode=test").text
    assert "Nothing like that" in owner.get("/activity?buyer=grace@example.com").text
    assert "ada@example.com" in owner.get("/activity?buyer=Ada").text
    assert "Nothing like that" in owner.get("/activity?buyer=a%25a").text
    # A whole address is one buyer's, though another's ends with it.
    assert "Nothing like that" in owner.get("/activity?buyer=da@example.com").text


def test_no_dot_stands_alone_at_the_end_of_a_line(owner: Browser, world: World) -> None:
    """On a phone a long address goes to the next line, and takes the dot before it along."""
    for page in ("/activity", "/activity/runs", f"/runs/{world.run_id}"):
        said = owner.get(page).text.partition("<main")[2]
        assert "·&nbsp;" in said
        assert "· " not in said


def test_older_events_are_a_page_away(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser, world: World
) -> None:
    """The pages follow each other without a gap, and keep what was asked for."""
    with transaction(engine) as session:
        for minute in range(50):
            add_event(session, merchant, endpoint, NOW + timedelta(minutes=minute))
    first = owner.get("/activity?type=review.created").text
    assert first.count("/activity/events/") == 50
    before = world.event_id + 1
    assert f"/activity?type=review.created&amp;before={before}" in first
    second = owner.get(f"/activity?type=review.created&before={before}").text
    assert f"/activity/events/{world.event_id}" in second
    assert "Show older ones" not in second


def test_an_event_nobody_wants_says_why_nothing_happened(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser
) -> None:
    """And offers the recipes for it."""
    with transaction(engine) as session:
        event = add_event(session, merchant, endpoint, NOW)
    page = owner.get(f"/activity/events/{event.id}").text
    assert "Why did nothing happen?" in page
    assert "No recipe is on for this." in page
    assert "/recipes/" in page


def test_an_unreadable_event_is_shown_as_it_came(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser
) -> None:
    """With the reason, and without its text becoming markup."""
    with transaction(engine) as session:
        event = add_event(session, merchant, endpoint, NOW)
        event.body, event.standing, event.standing_reason = b"<b>not json", Standing.UNREADABLE, "It is not JSON."
    page = owner.get(f"/activity/events/{event.id}").text
    assert "It is not JSON." in page
    assert "&lt;b&gt;not json" in page


@pytest.mark.parametrize("back", ["home", ""])
def test_an_event_that_contradicts_itself_can_be_left(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser, world: World, back: str
) -> None:
    """From Home and from its page: then nobody is told of it again, and it stays where it is."""
    with transaction(engine) as session:
        event = add_event(session, merchant, endpoint, NOW)
        event.standing, event.standing_reason = Standing.SUSPICIOUS, "Its header says something else."
    home, page = owner.get("/").text, owner.get(f"/activity/events/{event.id}").text
    assert "“New review” of ada@example.com did not run: Its header says something else." in home
    leave = f'action="/activity/events/{event.id}/leave"'
    assert leave in home
    assert leave in page
    answer = owner.post(f"/activity/events/{event.id}/leave", {"back": back})
    assert answer.location == ("/" if back else f"/activity/events/{event.id}")
    assert "Its header" not in owner.get("/").text.partition("Last events")[0]
    page = owner.get(f"/activity/events/{event.id}").text
    assert "You left it as it is." in page
    assert leave not in page


def test_an_event_that_was_just_taken_in_is_not_said_to_have_done_nothing(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser
) -> None:
    """Its recipes are looked for in a moment."""
    with transaction(engine) as session:
        event = add_event(session, merchant, endpoint, NOW)
        event.fanned_out_at = None
    page = owner.get(f"/activity/events/{event.id}").text
    assert "About to be looked at. Reload this page in a moment." in page
    assert "Why did nothing happen?" not in page


def test_private_link_of_a_buyer_is_not_shown(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser
) -> None:
    """Whoever has it can cancel for them."""
    with transaction(engine) as session:
        event = add_event(session, merchant, endpoint, NOW)
        event.body = json.dumps({"portalUrl": PRIVATE, "metadata": {"portalUrl": PRIVATE}}).encode()
    assert PRIVATE not in owner.get(f"/activity/events/{event.id}").text


def test_a_run_shows_its_tries_and_what_to_do(owner: Browser, world: World) -> None:
    """What was sent, what was answered, in words."""
    page = owner.get(f"/runs/{world.run_id}").text
    assert '<dt>Channel</dt><dd><span class="render">#reviews</span></dd>' in page
    for said in ("Try 1: refused", "This channel is gone", "Five stars", "channel_not_found", "Run again", "Set aside"):
        assert said in page


def test_a_run_that_goes_again_does_not_say_what_went_wrong_before(
    engine: Engine, owner: Browser, world: World
) -> None:
    """The last try's words stay with the last try."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.RUNNING
    page = owner.get(f"/runs/{world.run_id}").text
    assert page.count("This channel is gone") == 1
    assert "It is being done." in page
    assert "This channel is gone" not in owner.get("/activity/runs").text


def test_a_run_that_its_service_keeps_waiting_says_until_when(engine: Engine, owner: Browser, world: World) -> None:
    """Though it was another one of the connection that the service turned away."""
    with transaction(engine) as session:
        first = session.get_one(Run, world.run_id)
        second = Run(**first.model_dump(exclude={"id"}) | {"again": 1, "state": RunState.QUEUED, "lane": "another"})
        session.add(second)
        first.state, first.attempt, first.due_at = RunState.WAITING, 1, NOW + timedelta(minutes=4)
        attempt = session.exec(select(Attempt)).one()
        attempt.result, attempt.status, attempt.outcome = "temporary", 429, "Slack asked us to slow down."
        session.flush()
        number = second.id
    page = owner.get(f"/runs/{number}").text
    assert "Slack asked us to slow down. It goes on by itself, at the latest" in page
    assert "in 4 min" in page
    assert "It is about to be done" not in page


def test_a_run_that_waits_as_its_recipe_says_says_until_when(engine: Engine, owner: Browser, world: World) -> None:
    """In other words than one that waits for its next try; it can be called off."""
    with transaction(engine) as session:
        run = session.get_one(Run, world.run_id)
        run.state, run.due_at, run.outcome, run.finished_at = RunState.DELAYED, NOW + timedelta(days=3), "Posted.", None
    page = owner.get(f"/runs/{world.run_id}").text
    told = owner.get("/activity/runs?show=delayed").text
    for text in (page, told):
        assert re.search(
            r"Waits until <time [^>]*>27 Jul, \d\d:00 <span[^>]*>\(in \d+ days\)</span></time>, as the recipe", text
        )
        assert "Next try" not in text
        assert "Posted." not in text.split("How it went")[0]
    assert f'action="/runs/{world.run_id}/cancel"' in page


def test_a_run_behind_another_links_to_it(engine: Engine, owner: Browser, world: World) -> None:
    """With the time of its next try: that is what this one waits for."""
    with transaction(engine) as session:
        ahead = session.get_one(Run, world.run_id)
        ahead.state, ahead.due_at = RunState.WAITING, NOW + timedelta(minutes=3)
        behind = Run(**ahead.model_dump(exclude={"id"}) | {"again": 1, "state": RunState.QUEUED})
        session.add(behind)
    page = owner.get(f"/runs/{behind.id}").text
    assert f'Waits for <a href="/runs/{world.run_id}">an earlier run</a> of this buyer' in page
    assert "in 3 min" in page
    assert "about to be done" not in page


@pytest.mark.parametrize(
    ("state", "request_", "then"),
    [
        (RunState.FAILED, "again", RunState.QUEUED),
        (RunState.UNSURE, "again", RunState.QUEUED),
        (RunState.UNSURE, "done", RunState.SUCCEEDED),
        (RunState.WAITING, "cancel", RunState.CANCELLED),
        (RunState.FAILED, "cancel", RunState.CANCELLED),
    ],
)
def test_what_can_be_asked_of_a_run(
    engine: Engine, owner: Browser, world: World, state: RunState, request_: str, then: RunState
) -> None:
    """Each button is there in the state it is for, and does what it says."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = state
    assert f'action="/runs/{world.run_id}/{request_}"' in owner.get(f"/runs/{world.run_id}").text
    owner.post(f"/runs/{world.run_id}/{request_}")
    with reading(engine) as session:
        assert session.get_one(Run, world.run_id).state == then


def test_a_request_that_does_not_fit_is_explained(engine: Engine, owner: Browser, world: World) -> None:
    """The page was open for a while, and the run went on meanwhile."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.RUNNING
    answer = owner.post(f"/runs/{world.run_id}/again")
    assert "This run is still under way." in owner.get(answer.location).text


def test_a_repeat_of_a_finished_run_leads_to_the_new_one(engine: Engine, owner: Browser, world: World) -> None:
    """It is a run of its own."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.SUCCEEDED
    location = owner.post(f"/runs/{world.run_id}/again").location
    assert location != f"/runs/{world.run_id}"
    assert "Repeated" in owner.get(location).text


def test_runs_are_narrowed_down(owner: Browser, world: World) -> None:
    """To what needs the merchant, and to a recipe."""
    assert f"/runs/{world.run_id}" in owner.get("/activity/runs?show=needs-you").text
    assert "None of these" in owner.get("/activity/runs?show=succeeded").text
    assert f"/runs/{world.run_id}" in owner.get(f"/activity/runs?recipe={world.recipe_id}").text
    assert owner.get("/activity/runs?show=nonsense").status_code == 404


def test_a_row_of_the_ledger_is_deleted_after_a_question(engine: Engine, owner: Browser, world: World) -> None:
    """A sample's row need not stand among the orders for ever; the other rows stay."""
    with transaction(engine) as session:
        first = session.get_one(LedgerRow, world.row_id)
        session.add(LedgerRow(**first.model_dump(exclude={"id"}) | {"key": "ord_2"}))
    url = f"/ledger/rows/{world.row_id}/delete?name=Orders"
    assert f'href="{url}"' in owner.get("/ledger/table?name=Orders").text
    assert "Delete this row?" in owner.get(url).text
    assert "ord_1" in owner.get("/ledger/table?name=Orders").text
    assert owner.post(url).location == "/ledger/table?name=Orders"
    page = owner.get("/ledger/table?name=Orders").text
    assert "The row ord_1 is deleted." in page
    assert "ord_1" not in owner.get("/ledger/table?name=Orders").text
    assert "ord_2" in page


def test_with_its_last_row_a_table_is_gone(owner: Browser, world: World) -> None:
    """The list of tables is where one is then; and no address makes a row of another table go."""
    assert owner.post(f"/ledger/rows/{world.row_id}/delete?name=Others").status_code == 404
    assert owner.post(f"/ledger/rows/{world.row_id}/delete?name=Orders").location == "/ledger"
    assert "No table yet" in owner.get("/ledger").text


def test_ledger_table_and_its_csv(engine: Engine, owner: Browser, world: World) -> None:
    """The page shows the rows; the file holds the whole table."""
    assert "ada@example.com" in owner.get("/ledger/table?name=Orders").text
    answer = owner.get("/ledger/table.csv?name=Orders")
    assert answer.mimetype == "text/csv"
    assert "Orders.csv" in answer.headers["Content-Disposition"]
    with reading(engine) as session:
        assert answer.text == "".join(ledger.table_csv(session, world.merchant_id, "Orders"))
    assert owner.get("/ledger/table?name=Nothing").status_code == 404


def test_a_row_of_a_test_event_is_marked(engine: Engine, owner: Browser, world: World) -> None:
    """As in Activity."""
    page = "/ledger/table?name=Orders"
    assert ">Test<" not in owner.get(page).text
    with transaction(engine) as session:
        session.get_one(LedgerRow, world.row_id).is_test = True
    assert ">Test<" in owner.get(page).text
    assert ">Test<" in owner.get(f"/ledger/rows/{world.row_id}/delete?name=Orders").text


def test_a_table_may_have_any_name(engine: Engine, owner: Browser, world: World) -> None:
    """A recipe may name it after a product, such as “UI kit / Icons”."""
    name = "UI kit / Icons #1? ü"
    with transaction(engine) as session:
        session.get_one(LedgerRow, world.row_id).table = name
    (address,) = re.findall(r'href="(/ledger/table\?[^"]+)"', owner.get("/ledger").text)
    page = owner.get(html.unescape(address)).text
    assert "ada@example.com" in page
    (address,) = re.findall(r'href="(/ledger/table.csv\?[^"]+)"', page)
    assert "ada@example.com" in owner.get(html.unescape(address)).text


def test_an_event_of_an_unknown_type_is_shown(
    engine: Engine, merchant: Merchant, endpoint: Endpoint, owner: Browser
) -> None:
    """Unknown is stored and seen, never refused."""
    with transaction(engine) as session:
        event = add_event(session, merchant, endpoint, NOW)
        event.type, event.standing, event.standing_reason = "dispute.created", Standing.UNKNOWN, "Not known here."
        session.add(event)
        session.flush()
        assert session.get_one(Event, event.id)
    assert "Not known here." in owner.get(f"/activity/events/{event.id}").text


def test_run_again_is_done_once_for_a_run_as_it_was_seen(engine: Engine, owner: Browser, world: World) -> None:
    """The second of two clicks, or an older tab, must not post a second message."""
    (seen,) = re.findall(r'name="seen" value="([^"]+)"', owner.get(f"/runs/{world.run_id}").text)
    with transaction(engine) as session:
        run = session.get_one(Run, world.run_id)
        run.state = RunState.FAILED
        session.flush()
        runs.run_again(session, world.merchant_id, world.run_id, now=NOW, seen=seen)
        run.state = RunState.SUCCEEDED
    answer = owner.post(f"/runs/{world.run_id}/again", {"seen": seen})
    assert "This run has gone on meanwhile" in owner.get(answer.location).text
    with reading(engine) as session:
        assert session.exec(select(func.count()).select_from(Run)).one() == 1
