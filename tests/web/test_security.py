"""What every answer carries, and that no form is taken without its token."""

import gzip
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from recipes.settings import load_settings
from recipes.vault import Vault
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, PREBUILT, SLACK_TOKEN, World
from web.app import create_app

PAGES = (
    "/", "/recipes", f"/recipes/new/{PREBUILT}", "/connections", "/connections/new/slack", "/activity",
    "/activity/runs",
    "/ledger", "/ledger/table?name=Orders", "/set-up", "/account", "/account/password", "/nothing-here",
)  # fmt: skip


def pages_of(world: World) -> list[str]:
    """Every page, those of the store's own things too."""
    return [
        *PAGES,
        f"/recipes/{world.recipe_id}",
        f"/recipes/{world.recipe_id}/delete",
        f"/connections/{world.connection_id}",
        f"/activity/events/{world.event_id}",
        f"/runs/{world.run_id}",
    ]


def test_headers_on_every_page(owner: Browser, world: World) -> None:
    """Strict content policy, no framing, no sniffing, nothing kept in caches."""
    for url in pages_of(world):
        headers = owner.get(url).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], url
        assert "unsafe-inline" not in headers["Content-Security-Policy"], url
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], url
        assert headers["X-Content-Type-Options"] == "nosniff", url
        assert headers["Referrer-Policy"] == "same-origin", url
        assert set(headers["Cache-Control"].split(", ")) == {"private", "no-store"}, url


def test_pages_hold_nothing_inline(owner: Browser, world: World) -> None:
    """The policy would silence inline scripts, styles and handlers: there are none to silence."""
    for url in pages_of(world):
        page = owner.get(url).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", page), url
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page), f"{url} fetches from elsewhere"


def test_pages_are_light(app: Flask, owner: Browser, world: World) -> None:
    """A page with our stylesheet, script and pictures stays under 50 kB (Bootstrap's own file aside)."""
    for url in pages_of(world):
        page = owner.get(url).text
        ours = set(re.findall(r'"(/static/[^"?]+)', page))
        files = sum(
            len(owner.client.get(file, headers={"Accept-Encoding": "gzip"}, buffered=True).data) for file in ours
        )
        assert len(page.encode()) + files < 50_000, url


def test_no_secret_in_any_page(owner: Browser, world: World) -> None:
    """What was pasted once is never shown again, nor are hashes and links of buyers."""
    for url in pages_of(world):
        page = owner.get(url).text
        for secret in (SLACK_TOKEN, "whsec_1a2b3c4d5e6f7g8h9i0j", PASSWORD, world.owner.fs_uniquifier, "$argon2"):
            assert secret not in page, url


def test_every_form_asks_for_its_token(app: Flask, owner: Browser, world: World) -> None:
    """No route takes a form from elsewhere."""
    refused = set()
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()):
            continue
        values: dict[str, Any] = {
            name: {"mode": "live", "app": "slack", "name": PREBUILT}.get(name, "1") for name in rule.arguments
        }
        with app.test_request_context():
            url = app.url_for(rule.endpoint, **values)
        assert owner.client.post(url, data={"name": "Taken over"}).status_code == 400, url
        refused.add(rule.endpoint)
    assert len(refused) > 10


def test_stylesheets_travel_packed(nobody: Browser) -> None:
    """Bootstrap's is 230 kB: on a phone that is felt. Who cannot unpack gets it as it is."""
    url = "/bootstrap/static/css/bootstrap.min.css"
    packed = nobody.client.get(url, headers={"Accept-Encoding": "gzip, br"}, buffered=True)
    plain = nobody.get(url)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < 40_000


def test_files_may_be_kept_by_browsers(nobody: Browser) -> None:
    """Their addresses change with their content."""
    page = nobody.get("/sign-in").text
    found = re.search(r"/static/app\.css\?v=[0-9a-f]{10}", page)
    assert found
    assert "max-age=31536000" in nobody.get(found[0]).headers["Cache-Control"]


@pytest.fixture
def https(tmp_path: object, engine: Engine, vault: Vault) -> Browser:
    """A browser on an installation that is reached by https."""
    settings = load_settings(_env_file=None, data_dir=tmp_path, public_url="https://wire.example")
    return Browser(create_app(settings, engine=engine, vault=vault).test_client())


def test_https_only_cookies_and_transport(https: Browser) -> None:
    """Where browsers come by https they are told to stay there, and the cookie never leaves it."""
    answer = https.get("/sign-in")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("pocketwire=")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def test_plain_http_has_no_transport_header(nobody: Browser) -> None:
    """A first try on one's own machine is not locked into https."""
    assert "Strict-Transport-Security" not in nobody.get("/sign-in").headers
