"""The command line looks at one thing: a run, an event, how the store is, its name, its deliveries."""

import json
from pathlib import Path
from typing import Any

import pytest

from recipes.db import transaction
from recipes.endpoints import find_endpoint
from recipes.models import Mode, RejectedDelivery
from tests.conftest import NOW
from tests.integrations.vendor import Vendor, answer
from tests.recipes.terminal import POST_REVIEW, TOKEN, Terminal

PORTAL = "https://portal.example/whoever-has-this-can-cancel"


def test_a_run_is_shown_with_its_steps_and_tries(reviews: Terminal, address: str, slack: Vendor) -> None:
    """What was sent, what was answered, and what can be asked of it."""
    slack.answers["POST /chat.postMessage"] = answer({"ok": False, "error": "is_archived"})
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=C1", "--set", "text=Hi {{ buyer.email }}")
    reviews.do("send", "review.created", "--as-is", "--to", address)
    reviews.turn()
    shown = reviews.do("run", "1")
    assert "Run 1 of “Post reviews to Slack”: failed." in shown
    assert "For event 1, review.created of buyer@example.com" in shown
    assert "To run it again: pocketwire run-again 1" in shown
    assert "\n1. Slack: Post a message (failed)\n   Try 1, " in shown
    assert "ms: refused." in shown
    assert "     text         Hi buyer@example.com\n     channel      C1\n     HTTP status  200\n" in shown
    told = reviews.json("run", "1")
    assert (told["id"], told["state"], told["steps"][0]["app_title"]) == (1, "failed", "Slack")
    assert told["attempts"][0]["request"]["text"] == "Hi buyer@example.com"
    assert TOKEN not in shown + json.dumps(told)
    assert "There is no run 9" in reviews.refused("run", "9")


def test_a_run_that_waits_as_its_recipe_says_says_until_when(reviews: Terminal, address: str, slack: Vendor) -> None:
    """In the list, in the look at it, and in the recipe's own sentence."""
    waits = ("--set", "channel=C1", "--set", "wait=3 Days")
    assert "\n3 days later, Slack: Post a message\n" in reviews.do("recipe", "enable", POST_REVIEW, *waits, "--dry-run")
    said = reviews.refused("recipe", "enable", POST_REVIEW, "--set", "channel=C1", "--set", "wait=3 weeks")
    assert "Wait before this has to be a whole number of minutes, hours or days, such as 3 days." in said
    reviews.do("recipe", "enable", POST_REVIEW, *waits)
    assert _entry(reviews)["sentence"].startswith("When a buyer leaves a review, 3 days later, post it to Slack")
    reviews.do("send", "review.created", "--as-is", "--to", address)
    reviews.turn()
    told = reviews.json("run", "1")
    assert (told["state"], told["due_at"], told["steps"][0]["wait"]) == ("delayed", None, "3 days")
    shown = reviews.do("run", "1")
    assert "\nWaits until " in shown
    assert ", as the recipe says.\nTo call it off: pocketwire cancel 1\n" in shown
    assert "\n1. 3 days later, Slack: Post a message (waiting for its time)\n" in shown
    assert ", as the recipe says." in " ".join(reviews.do("runs", "--state", "delayed").split())
    assert slack.seen("POST /chat.postMessage") == []


def test_an_event_is_shown_with_what_was_done_or_why_nothing_was(
    terminal: Terminal, address: str, tmp_path: Path
) -> None:
    """The buyer's private link stays hidden, in words and in JSON."""
    payload = tmp_path / "start.json"
    payload.write_text(json.dumps({"subscription": {"id": "s1"}, "portalUrl": PORTAL, "email": "zoe@example.com"}))
    terminal.do("send", "order.completed", "--to", address)
    terminal.do("send", "customer.subscription.created", "--payload", str(payload), "--to", address)
    terminal.turn()
    shown = terminal.do("event", "1")
    assert shown.startswith("Event 1, order.completed, received 20")
    assert ", sample.\nA buyer paid for a one-time product.\n" in shown
    assert "Nothing was done about it: No recipe is on for this.\n" in shown
    assert "pocketwire recipe list --event order.completed" in shown
    assert "\n  Product variant ID       var_789ghi\n" in shown
    private = terminal.json("event", "2")
    assert private["payload"]["portalUrl"] == "kept private"
    assert PORTAL not in json.dumps(private) + terminal.do("event", "2")
    terminal.do("recipe", "enable", "order.completed/ledger-row")
    terminal.do("send", "order.completed", "--to", address)
    terminal.turn()
    assert "What was done about it:\n  Run 1  " in terminal.do("event", "3")
    assert [run["id"] for run in terminal.json("event", "3")["runs"]] == [1]
    assert "There is no event 9" in terminal.refused("event", "9")


def test_an_event_that_came_too_late_says_how_to_run_it(terminal: Terminal, address: str, tmp_path: Path) -> None:
    """As its page does."""
    terminal.do("recipe", "enable", "order.completed/ledger-row")
    payload = tmp_path / "order.json"
    payload.write_text('{"order": {"id": "mine"}, "amount": 64.99, "customer": {"email": "zoe@example.com"}}')
    for event in ("order.refunded", "order.completed"):
        terminal.do("send", event, "--payload", str(payload), "--to", address)
    shown = terminal.do("event", "2")
    assert "came after its refund" in shown
    assert "pocketwire run-late 2\n" in shown


def test_what_a_buyer_wrote_cannot_steer_the_terminal(terminal: Terminal, address: str, tmp_path: Path) -> None:
    """An escape sequence in an event is printed without its power."""
    payload = tmp_path / "review.json"
    payload.write_text(json.dumps({"review": {"id": "r1", "text": "\x1b]0;mine\x07Fine"}, "email": "zoe@example.com"}))
    terminal.do("send", "review.created", "--payload", str(payload), "--to", address)
    assert "\x1b" not in terminal.do("event", "1")


def test_lists_are_narrowed_as_on_the_pages(terminal: Terminal, address: str) -> None:
    """By buyer, by recipe, by connection, by several states, and on from an id."""
    for recipe in ("order.completed/ledger-row", "order.refunded/ledger-row"):
        terminal.do("recipe", "enable", recipe)
    for event in ("order.completed", "order.refunded"):
        terminal.do("send", event, "--to", address)
    terminal.turn()
    subjects = {event["id"]: event["subject"] for event in terminal.json("events")}
    assert [event["id"] for event in terminal.json("events", "--buyer", subjects[1].upper())] == [1]
    assert [event["id"] for event in terminal.json("events", "--before", "2")] == [1]
    runs = terminal.json("runs", "--recipe", "order.refunded/ledger-row", "--connection", "Ledger")
    assert [run["event_type"] for run in runs] == ["order.refunded"]
    assert len(terminal.json("runs", "--state", "succeeded", "--state", "failed")) == 2
    assert terminal.json("runs", "--state", "failed", "--state", "unsure") == []
    assert "pocketwire recipe list" in terminal.refused("runs", "--recipe", "order.completed/nothing")


def test_status_says_what_needs_whom_also_by_its_exit_code(reviews: Terminal, address: str, slack: Vendor) -> None:
    """So that whatever watches over the service can ask."""
    missing = reviews("status")
    assert missing.exit_code == 1
    assert "Paste Pocketsflow's signing secret" in missing.stdout
    assert "\n  pocketwire endpoint set-secret --mode live\n" in missing.stdout
    reviews.do("endpoint", "set-secret", typed="whsec_1a2b3c4d")
    assert reviews.do("status").endswith("\nNothing needs you.\n")

    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=C1")
    slack.answers["POST /chat.postMessage"] = answer({"ok": False, "error": "is_archived"})
    for _ in range(2):
        reviews.do("send", "review.created", "--to", address, "--secret-stdin", typed="whsec_1a2b3c4d")
    reviews.turn()
    failed = reviews("status", "--merchant", "My store")
    assert failed.exit_code == 1
    assert "“Post reviews to Slack”: 2 runs failed." in failed.stdout
    assert f"\n  pocketwire runs --recipe {POST_REVIEW} --state failed --merchant 'My store'\n" in failed.stdout
    told = json.loads(reviews("status", "--json").stdout)
    assert (told["recipes_on"], told["counters"]["events"], told["counters"]["failed"]) == (1, 2, 2)
    assert [item["kind"] for item in told["needs_you"]] == ["runs_failed"]


def test_the_endpoint_tells_of_refused_deliveries(terminal: Terminal) -> None:
    """Beside the address, which stays alone on standard output."""
    address = terminal.do("endpoint", "show")
    with transaction(terminal.work.engine) as session:
        endpoint = find_endpoint(session, terminal.work.merchant_id(None, session), Mode.LIVE)
        assert endpoint is not None
        session.add(
            RejectedDelivery(
                endpoint_id=endpoint.id or 0, reason="the signature does not match", count=3, first_at=NOW, last_at=NOW
            )
        )
    result = terminal("endpoint", "show")
    assert result.stdout == address
    assert "3 deliveries were refused since 2026-07-24" in result.stderr
    told = terminal.json("endpoint", "show")
    assert (told["address"] + "\n", told["has_secret"], told["last_delivery_at"]) == (address, False, None)
    assert [(each["reason"], each["count"]) for each in told["refused"]] == [("the signature does not match", 3)]
    assert "id" not in told["refused"][0]


def test_a_store_is_renamed_and_given_a_time_zone(terminal: Terminal) -> None:
    """Each alone; a wrong one changes nothing, and is refused as on the page."""
    assert terminal.do("account", "store") == "My store: UTC\n"
    assert terminal.do("account", "store", "--time-zone", "Europe/Berlin") == "My store: Europe/Berlin\n"
    assert terminal.do("account", "store", "--name", " Moss  & Co ") == "Moss & Co: Europe/Berlin\n"
    said = terminal.refused("account", "store", "--name", "Other", "--time-zone", "Mars/Olympus")
    assert "no time zone called Mars/Olympus" in said
    assert "name is empty" in terminal.refused("account", "store", "--name", " ")
    assert terminal.do("account", "store") == "Moss & Co: Europe/Berlin\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--title", " "], "needs a title"),
        (["--title", "One", "--another", "Two"], "leave --title out"),
        (["--only-if", "review.rating is 5", "--no-conditions"], "Only one of --only-if and --no-conditions"),
    ],
)
def test_what_cannot_be_saved_is_said(reviews: Terminal, words: list[str], sentence: str) -> None:
    assert sentence in reviews.refused("recipe", "save", POST_REVIEW, "--set", "channel=C1", *words)
    assert all(entry["recipe_id"] is None for entry in reviews.json("recipe", "list"))


def test_a_recipe_is_saved_without_being_switched_on_or_off(reviews: Terminal) -> None:
    """As by the page's Save; its title, and conditions that go again, are one's own."""
    only_if = ("--only-if", "review.rating at_most 3")
    said = reviews.do("recipe", "save", POST_REVIEW, "--set", "channel=C1", "--title", "Bad reviews", *only_if)
    assert said == f"Bad reviews: saved, and off ({POST_REVIEW}).\n"
    assert _entry(reviews)["only_if"].startswith("Only if the review rating")
    assert not _entry(reviews)["enabled"]
    reviews.do("recipe", "enable", POST_REVIEW)
    said = reviews.do("recipe", "save", POST_REVIEW, "--title", "Reviews", "--no-conditions")
    assert said == f"Reviews: saved, and on ({POST_REVIEW}).\n"
    assert (_entry(reviews)["title"], _entry(reviews)["only_if"]) == ("Reviews", "")
    assert "Tried with" in reviews.do("recipe", "save", POST_REVIEW, "--set", "channel=C2", "--dry-run")


def _entry(reviews: Terminal) -> dict[str, Any]:
    entries = reviews.json("recipe", "list", "--event", "review.created")
    found: dict[str, Any] = next(entry for entry in entries if entry["name"] == POST_REVIEW)
    return found
