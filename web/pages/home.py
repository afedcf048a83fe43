"""Home: is all well, what needs me, what came last; the first steps while nothing runs yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlmodel import Session

from recipes import connections, cookbook, ledger
from recipes.db import reading
from recipes.endpoints import find_endpoint
from recipes.models import Mode
from web.display import count
from web.site import merchant, merchant_id, site

blueprint = Blueprint("home", __name__)

LATEST = 8


@dataclass(frozen=True)
class Truth:
    """The line that says how things are."""

    tone: str
    sentence: str
    more: str


@dataclass(frozen=True)
class FirstStep:
    """One of the steps from an empty installation to a recipe at work."""

    title: str
    words: str
    button: str
    url: str
    is_done: bool


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The page."""
    with reading(site().engine) as session:
        counted = ledger.counters(session, merchant_id(), site().now())
        entries = [entry for group in cookbook.shelf(session, merchant_id()) for entry in group.entries]
        items = ledger.needs_attention(session, merchant_id(), site().now())
        latest = ledger.events_page(session, merchant_id(), limit=LATEST).items
        steps = _first_steps(session, entries)
        offers = cookbook.offers(session, merchant_id())
    is_starting = not all(step.is_done for step in steps)
    if is_starting:
        # The first step says it already.
        items = [item for item in items if item.kind != "secret_missing"]
    return render_template(
        "home/home.html",
        truth=_truth(entries, items, counted, is_starting),
        steps=steps if is_starting else [],
        items=items,
        fix=_fix,
        offers=offers,
        counted=counted,
        latest=latest,
    )


def _first_steps(session: Session, entries: Sequence[cookbook.ShelfEntry]) -> list[FirstStep]:
    endpoint = find_endpoint(session, merchant_id(), Mode.LIVE)
    has_connection = bool(connections.of_merchant(session, merchant_id()))
    is_on = any(entry.enabled for entry in entries)
    return [
        FirstStep(
            "Let Pocketsflow deliver to you",
            "Copy your delivery address, paste the signing secret.",
            "Set up",
            url_for("setup.setup"),
            endpoint is not None and endpoint.secret is not None,
        ),
        FirstStep(
            "Connect a service",
            "Slack, Mailchimp, Google Sheets… or begin with the built-in Ledger, which needs nothing.",
            "Connect",
            url_for("connections.listing"),
            has_connection or is_on,
        ),
        FirstStep(
            "Switch a recipe on",
            "Say what happens when a buyer pays, leaves, or writes a review.",
            "Choose a recipe",
            url_for("recipes.shelf"),
            is_on,
        ),
        FirstStep(
            "See it work",
            "Send yourself a test event for a recipe that is on, and look at what it did.",
            "Send a test event",
            url_for("setup.setup", _anchor="live"),
            ledger.has_succeeded(session, merchant_id()),
        ),
    ]


def _truth(
    entries: Sequence[cookbook.ShelfEntry],
    items: Sequence[ledger.Attention],
    counted: ledger.Counters,
    is_starting: bool,
) -> Truth:
    on = sum(entry.enabled for entry in entries)
    events = f"{count(counted.events, 'event')} in the last 7 days."
    if merchant().suspended_at is not None:
        return Truth("wait", "Nothing runs while the store is suspended.", f"{_recipes(on)} {events}")
    if items:
        return Truth("bad", f"{count(len(items), 'thing needs', 'things need')} you.", f"{_recipes(on)} {events}")
    if is_starting:
        return Truth("wait", "Four steps, then your store runs by itself.", "You can stop after each and come back.")
    if not on:
        return Truth("wait", "No recipe is on.", f"Events are kept, nothing is done about them. {events}")
    if counted.retrying:
        again = count(counted.retrying, "run is being tried again", "runs are being tried again")
        return Truth("wait", f"{again[0].upper()}{again[1:]}.", f"Nothing for you to do. {_recipes(on)} {events}")
    return Truth("ok", "Your recipe works." if on == 1 else f"All {on} recipes work.", events)


def _recipes(on: int) -> str:
    return f"{count(on, 'recipe is', 'recipes are')} on."


def _fix(item: ledger.Attention) -> tuple[str, str]:
    """What mends an item: a button's words and where it leads."""
    if item.fix is ledger.Fix.RECONNECT:
        return "Reconnect", url_for("connections.change", connection_id=item.connection_id)
    if item.fix is ledger.Fix.SET_SECRET:
        return "Look at the secret", url_for("setup.setup", _anchor=item.mode)
    if item.fix is ledger.Fix.LOOK_AT_EVENT:
        return "Look at it", url_for("activity.event", event_id=item.event_id)
    if item.fix is ledger.Fix.LOOK_AT_ADDRESS:
        return "Look at the address", url_for("setup.setup", _anchor=item.mode)
    if item.fix is ledger.Fix.LOOK_AT_RECIPE:
        return "Look at the recipe", url_for("recipes.edit", recipe_id=item.recipe_id)
    if item.fix is ledger.Fix.LOOK_AT_WAITING:
        return "Look at what waits", url_for("activity.runs", show="open")
    if item.count == 1:
        return "Look at it", url_for("runs.run", run_id=item.run_id)
    return "Look at them", url_for("activity.runs", recipe=item.recipe_id, show=item.state)
