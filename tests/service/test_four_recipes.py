"""Done means 2, by the command line: a signed delivery in, the right outgoing request out, for four services."""

import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from recipes.events import event_type
from recipes.pocketsflow.sending import compact, deliver
from tests.conftest import SECRET
from tests.integrations.cases import CASES
from tests.integrations.conftest import StartVendor
from tests.integrations.spreadsheet import Spreadsheet
from tests.integrations.vendor import Vendor, answer
from tests.service.running import Service, eventually

DISCORD = {"server": "197038439483310086", "role": "41771983423143936"}
MEMBER = "80351110224678912"


# What there is to choose from, by service and route.
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "mailchimp": {"GET /lists": {"lists": [{"id": "a1b2c3", "name": "Readers"}]}},
    "slack": {"POST /conversations.list": {"ok": True, "channels": [{"id": "C1", "name": "reviews"}]}},
    "google_sheets": {
        "GET /drive/v3/files": {"files": [{"id": "s1", "name": "Shop"}]},
        "GET /v4/spreadsheets/{spreadsheetId}": {
            "sheets": [{"properties": {"title": "Orders", "sheetType": "GRID", "sheetId": 0}}]
        },
    },
    "discord": {
        "GET /users/@me/guilds": [{"id": DISCORD["server"], "name": "Readers"}],
        "GET /guilds/{guild_id}/roles": [{"id": DISCORD["role"], "name": "Member", "managed": False, "position": 1}],
    },
}


@pytest.fixture
def vendors(start_vendor: StartVendor) -> Mapping[str, Vendor]:
    """The four services on loopback; at the end none may have seen a request that its description refuses."""
    started = {
        app: start_vendor(CASES[app].description, CASES[app].prefix)
        for app in ("mailchimp", "slack", "google_sheets", "discord")
    }
    for app, vendor in started.items():
        vendor.answers |= {route: answer(body) for route, body in CASES[app].answers.items()}
        vendor.answers |= {route: answer(body) for route, body in CHOICES[app].items()}
        vendor.beside |= {route: answer(body) for route, body in CASES[app].beside.items()}
    # Google's files are described in another document than its sheets.
    started["google_sheets"].beside |= {"GET /drive/v3/files": started["google_sheets"].answers["GET /drive/v3/files"]}
    started["google_sheets"].answers |= Spreadsheet("Orders").answers()
    return started


@pytest.fixture
def store(service: Service, vendors: Mapping[str, Vendor]) -> Service:
    """A running service whose store has the four connections."""
    for app, vendor in vendors.items():
        service.environment[f"POCKETWIRE_API_BASE__{app.upper()}"] = vendor.url + ("/" if app == "slack" else "")
    service.cli("account", "create", "ada@example.com", "--password-stdin", stdin="a long password")
    service.cli("endpoint", "set-secret", stdin=SECRET)
    for app in vendors:
        [(field, value)] = CASES[app].credentials.items()
        service.cli("connection", "add", app, "--set-file", f"{field}=-", stdin=value)
    service.start()
    return service


def _enable(store: Service, recipe: str, **fields: str) -> None:
    given = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    store.cli("recipe", "enable", recipe, *given)


def _deliver(url: str, event: str, **changes: Any) -> None:
    known = event_type(event)
    assert known is not None
    status, _ = deliver(url, event, SECRET, compact(known.sample() | changes), datetime.now(UTC))
    assert status == 200


def test_four_signed_deliveries_become_four_calls(store: Service, vendors: Mapping[str, Vendor]) -> None:
    """Buyer to Mailchimp, review to Slack, order to Google Sheets, role taken on Discord; each once."""
    _enable(store, "customer.created/mailchimp-add-buyer", audience="a1b2c3")
    _enable(store, "review.created/slack-message", channel="C1")
    _enable(store, "order.completed/google-sheets-row", spreadsheet="s1", worksheet="Orders")
    _enable(store, "customer.subscription.deleted/discord-take-role", **DISCORD)
    url = store.cli("endpoint", "show").strip().splitlines()[0]
    for event in ("customer.created", "review.created", "order.completed"):
        _deliver(url, event)
        _deliver(url, event)
    _deliver(url, "customer.subscription.deleted", metadata={"discord_id": MEMBER})
    assert store.settled(4) == ["succeeded"] * 4

    [added] = vendors["mailchimp"].seen("PUT /lists/{list_id}/members/{subscriber_hash}")
    assert (added.path.split("/")[3], added.get_json()["email_address"]) == ("a1b2c3", "buyer@example.com")
    [posted] = vendors["slack"].seen("POST /chat.postMessage")
    assert posted.get_json()["channel"] == "C1"
    assert "Exactly what I needed." in posted.get_json()["text"]
    [row] = vendors["google_sheets"].seen("POST /v4/spreadsheets/{spreadsheetId}/values:batchUpdate")
    assert "order_xyz123" in row.get_data(as_text=True)
    [taken] = vendors["discord"].seen("DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}")
    assert taken.path.endswith(f"/guilds/{DISCORD['server']}/members/{MEMBER}/roles/{DISCORD['role']}")


def test_deliveries_are_taken_until_the_engine_has_finished_its_calls(
    store: Service, vendors: Mapping[str, Vendor]
) -> None:
    """A service may take half a minute to answer, and Pocketsflow does not send again."""
    _enable(store, "review.created/slack-message", channel="C1")
    vendors["slack"].answers["POST /chat.postMessage"] = vendors["slack"].hang
    url = store.cli("endpoint", "show").strip().splitlines()[0]
    _deliver(url, "review.created")
    eventually(lambda: vendors["slack"].seen("POST /chat.postMessage"), "the call")
    assert store.process is not None
    store.process.send_signal(signal.SIGTERM)
    for number in range(30):
        _deliver(url, "order.completed", order={"id": f"order_{number}"})
    vendors["slack"].close()
    assert store.process.wait(20) == 0
    assert len(store.json("events", "--limit", "50")) == 31
