"""The four services of the mission on loopback, with something to choose from in each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.integrations.cases import CASES
from tests.integrations.google_key import token_answer
from tests.integrations.spreadsheet import SHEET, Spreadsheet
from tests.integrations.vendor import Answer, Vendor, answer

TITLES = {"mailchimp": "Mailchimp", "slack": "Slack", "google_sheets": "Google Sheets", "discord": "Discord"}
AUDIENCE, CHANNEL, SPREADSHEET = "a1b2c3", "C07Q2RM4T1K", "1sHeEtOfOrders"
SERVER, ROLE = "197038439483310086", "41771983423143936"

_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "mailchimp": {
        "GET /": {"account_name": "Juniper Press"},
        "GET /lists": {"lists": [{"id": "d4e5f6", "name": "Press list"}, {"id": AUDIENCE, "name": "Readers"}]},
        "PUT /lists/{list_id}/members/{subscriber_hash}": {"id": "1", "status": "subscribed"},
    },
    "slack": {
        "POST /auth.test": {"ok": True, "team": "Juniper Press", "user": "pocketwire"},
        "POST /conversations.list": {
            "ok": True,
            "channels": [{"id": "C07Q2RM4T0A", "name": "sales"}, {"id": CHANNEL, "name": "reviews"}],
        },
        "POST /chat.postMessage": {"ok": True, "channel": CHANNEL, "ts": "1785067440.120900"},
    },
    "google_sheets": {
        f"GET {SHEET}": {
            "sheets": [{"properties": {"title": title, "sheetType": "GRID"}} for title in ("Summary", "Orders")]
        },
    },
    "discord": {
        "GET /users/@me": {"username": "juniper"},
        "GET /users/@me/guilds": [{"id": SERVER, "name": "Juniper Readers"}],
        "GET /guilds/{guild_id}/roles": [
            {"id": SERVER, "name": "@everyone", "position": 0, "managed": False},
            {"id": ROLE, "name": "Supporter", "position": 1, "managed": False},
        ],
        "DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}": None,
    },
}
# Google's files are described in another document than its sheets.
_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "google_sheets": {
        "POST /token": token_answer(),
        "GET /drive/v3/files": {"files": [{"id": SPREADSHEET, "name": "Juniper Press orders"}]},
    }
}


class Services:
    """The stand-ins by name. sheet: the cells of the worksheet Orders."""

    def __init__(self) -> None:
        self.sheet = Spreadsheet("Orders")
        self.by_name = {app: self._start(app) for app in _ANSWERS}
        self.by_name["google_sheets"].answers |= self.sheet.answers()

    def __getitem__(self, app: str) -> Vendor:
        return self.by_name[app]

    @property
    def api_base(self) -> dict[str, str]:
        """Their addresses, for POCKETWIRE_API_BASE__…."""
        return {app: vendor.url for app, vendor in self.by_name.items()}

    @property
    def problems(self) -> list[str]:
        """Every request that a service's own description refuses."""
        return [f"{app}: {problem}" for app, vendor in self.by_name.items() for problem in vendor.problems]

    def close(self) -> None:
        """Ends them."""
        for vendor in self.by_name.values():
            vendor.close()

    def _start(self, app: str) -> Vendor:
        vendor = Vendor(CASES[app].description, CASES[app].prefix)
        vendor.answers |= _planned(_ANSWERS[app])
        vendor.beside |= _planned(_BESIDE.get(app, {}))
        return vendor


def _planned(bodies: Mapping[str, Any]) -> dict[str, Answer]:
    return {route: answer(body, 204 if body is None else 200) for route, body in bodies.items()}


@contextmanager
def running_services() -> Iterator[Services]:
    """The stand-ins, closed at the end."""
    services = Services()
    try:
        yield services
    finally:
        services.close()
