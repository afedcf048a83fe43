"""Every route is for its owner, closed to strangers and to whoever is not signed in."""

from typing import Any

import pytest
from flask import Flask, url_for
from werkzeug.routing import Rule

from tests.web.browser import Browser
from tests.web.conftest import PREBUILT, World
from web.auth import PUBLIC

# The routes that name something of a store's own, and how the owner's is called.
OWNED: dict[str, dict[str, Any]] = {
    "activity.event": {"event_id": "event_id"},
    "activity.leave": {"event_id": "event_id"},
    "activity.run_late": {"event_id": "event_id"},
    "connections.change": {"connection_id": "connection_id"},
    "connections.check": {"connection_id": "connection_id"},
    "connections.remove": {"connection_id": "connection_id"},
    "recipes.delete": {"recipe_id": "recipe_id"},
    "recipes.edit": {"recipe_id": "recipe_id"},
    "recipes.kept": {"recipe_id": "recipe_id"},
    "recipes.switch": {"recipe_id": "recipe_id"},
    "runs.run": {"run_id": "run_id"},
    "runs.again": {"run_id": "run_id"},
    "runs.done": {"run_id": "run_id"},
    "runs.cancel": {"run_id": "run_id"},
    "tables.table": {"name": "Orders"},
    "tables.delete_row": {"name": "Orders", "row_id": "row_id"},
    "tables.download": {"name": "Orders"},
}
# The routes that show each person their own store; with arguments that everybody may use.
EVERYBODYS: dict[str, dict[str, Any]] = {
    "home.home": {},
    "recipes.shelf": {},
    "recipes.another": {"name": PREBUILT},
    "recipes.begin": {"name": PREBUILT},
    "connections.listing": {},
    "connections.add": {"app": "ledger"},
    "activity.events": {},
    "activity.runs": {},
    "activity.answer": {},
    "tables.listing": {},
    "setup.setup": {},
    "setup.make": {"mode": "test"},
    "setup.keep_secret": {"mode": "live"},
    "setup.send_sample": {"mode": "live"},
    "account.account": {},
    "account.change": {},
    "account.switch": {},
    "security.change_password": {},
}
# What a form needs so that the owner is not turned down for another reason.
ENTERED: dict[str, dict[str, object]] = {
    "activity.answer": {"do": "done"},
    "account.switch": {"merchant": "merchant_id"},
    "recipes.kept": {"do": "leave"},
    "setup.send_sample": {"event": "order.completed"},
}


def test_every_route_is_classified(app: Flask) -> None:
    """A new page cannot be forgotten by the tests below."""
    known = {*PUBLIC, *OWNED, *EVERYBODYS}
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == known


def calls(app: Flask, world: World, endpoints: dict[str, dict[str, Any]]) -> list[tuple[str, str, dict[str, object]]]:
    """Method, address and form of every way to call these endpoints."""
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if rule.endpoint in endpoints:
                url = url_for(rule.endpoint, **named(endpoints[rule.endpoint], world))
                form = named(ENTERED.get(rule.endpoint, {}), world)
                found += [(method, url, form) for method in methods(rule)]
    return found


def named(arguments: dict[str, Any], world: World) -> dict[str, Any]:
    """The arguments, with the names of the world's things replaced by their ids."""
    return {name: getattr(world, str(value), value) for name, value in arguments.items()}


def methods(rule: Rule) -> list[str]:
    """Those a browser uses."""
    return [method for method in ("GET", "POST") if method in (rule.methods or ())]


def call(browser: Browser, method: str, url: str, form: dict[str, object]) -> int:
    """The status of the answer."""
    return (browser.get(url) if method == "GET" else browser.post(url, form)).status_code


def test_the_owner_gets_in(app: Flask, world: World, owner: Browser) -> None:
    """No page of the owner's own is missing or broken."""
    every = calls(app, world, {**OWNED, **EVERYBODYS})
    # What removes or changes things last, so that the pages before still have them.
    every.sort(key=lambda each: (each[0] == "POST", "remove" in each[1] or "delete" in each[1]))
    refused = [(method, url, code) for method, url, form in every if (code := call(owner, method, url, form)) >= 400]
    assert [each for each in refused if each[2] != 422] == []


def test_a_stranger_finds_nothing(app: Flask, world: World, stranger: Browser) -> None:
    """Another store's things are as if they did not exist."""
    every = calls(app, world, OWNED)
    assert {(method, url): call(stranger, method, url, form) for method, url, form in every} == {
        (method, url): 404 for method, url, _ in every
    }


def test_a_stranger_cannot_switch_to_the_store(world: World, stranger: Browser) -> None:
    """Belonging to a store is what lets one see it."""
    assert stranger.post("/account/switch", {"merchant": world.merchant_id}).status_code == 404
    assert "Acme Books" not in stranger.get("/account").text


def test_whoever_is_not_signed_in_is_sent_to_sign_in(app: Flask, world: World, nobody: Browser) -> None:
    """Nothing but the public routes answers to nobody."""
    for method, url, form in calls(app, world, {**OWNED, **EVERYBODYS}):
        answer = nobody.get(url) if method == "GET" else nobody.post(url, form)
        assert (answer.status_code, answer.location.split("?")[0]) == (302, "/sign-in"), (method, url)


@pytest.mark.parametrize(
    "path",
    ["/static/app.css", "/bootstrap/static/css/bootstrap.min.css", "/healthz", "/sign-in", "/forgotten-password"],
)
def test_public_pages_answer_to_nobody(nobody: Browser, path: str) -> None:
    """What the sign-in page needs is there before signing in."""
    assert nobody.get(path).status_code == 200
