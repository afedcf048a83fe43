"""From a terminal: what came while a recipe was off, and stores that are suspended."""

import json
from datetime import timedelta

from sqlmodel import select

from recipes import cookbook
from recipes.db import transaction
from recipes.models import Endpoint, Merchant, Recipe
from tests.conftest import NOW
from tests.recipes.terminal import POST_REVIEW, Terminal
from tests.web.conftest import add_event


def test_what_came_while_a_recipe_was_off_is_told_and_run(reviews: Terminal) -> None:
    """Switching on tells of it; the word is a command of its own."""
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=C2")
    earlier, later = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    with transaction(reviews.work.engine) as session:
        recipe = session.exec(select(Recipe)).one()
        cookbook.disable(session, recipe.merchant_id, recipe.id or 0, earlier)
        endpoint = session.exec(select(Endpoint)).one()
        add_event(session, session.get_one(Merchant, recipe.merchant_id), endpoint, later)
    asked = "1 event came since this is off: switch it on, and you are asked whether to run it.\n"
    assert reviews.do("recipe", "kept", POST_REVIEW) == asked
    assert "Kept while" not in reviews("status").stdout
    assert "1 event came while this was off: run it? See pocketwire" in reviews.do("recipe", "enable", POST_REVIEW)
    assert reviews.do("recipe", "kept", POST_REVIEW) == "1 event came while this was off: run it?\n"
    said = reviews("status").stdout
    assert "“Post reviews to Slack”: 1 event came while this was off: run it?" in said
    assert f"  pocketwire recipe kept {POST_REVIEW}\n" in said
    assert json.loads(reviews("status", "--json").stdout)["kept"] == [
        {"recipe": POST_REVIEW, "count": 1, "is_more": False}
    ]
    assert "in the order in which they came" in reviews.do("recipe", "kept", POST_REVIEW, "--run")
    assert "is being run" in reviews.do("recipe", "kept", POST_REVIEW)
    assert "any more" in reviews.refused("recipe", "kept", POST_REVIEW, "--leave")
    assert "is not set up" in reviews.refused("recipe", "kept", "order.completed/slack-message")


def test_a_store_is_suspended_and_resumed(terminal: Terminal) -> None:
    assert "what comes in is kept" in terminal.do("store", "suspend", "My store")
    assert "suspended already, since 24 July 2026" in terminal.refused("store", "suspend", "My store")
    assert "goes on" in terminal.do("store", "resume", "My store")
    assert terminal.refused("store", "resume", "My store") == "Error: My store is not suspended.\n"
    assert "There is no store called Elsewhere." in terminal.refused("store", "suspend", "Elsewhere")


def test_a_silence_is_told_with_the_command_that_shows_more(reviews: Terminal) -> None:
    """A store from which nothing has come for four days, and a run that waits though nothing is done."""
    with transaction(reviews.work.engine) as session:
        endpoint, merchant = session.exec(select(Endpoint)).one(), session.exec(select(Merchant)).one()
        endpoint.secret = b"sealed"
        for day in range(4, 34):
            add_event(session, merchant, endpoint, NOW - timedelta(days=day)).fanned_out_at = None
    said = reviews("status").stdout
    assert "- Nothing has come from Pocketsflow since Monday, 20 July" in said
    assert "  pocketwire endpoint show --mode live\n" in said
    assert "- Nothing is being done: an event has been waiting since" in said
    assert "  pocketwire runs --state queued\n" in said
