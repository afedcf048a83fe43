"""Behind a reverse proxy that speaks TLS to browsers and plain http to us, under a host name of its own."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from recipes.settings import load_settings
from recipes.vault import Vault
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, World
from web.app import create_app
from web.throttle import MOST_BY_ADDRESS_AND_EMAIL

EMAIL = "owner@acme.example"
TOO_MANY = "Wait ten minutes"


def proxied(tmp_path: Path, engine: Engine, vault: Vault, proxies: int) -> Flask:
    """An app that so many proxies stand before."""
    public_url = "https://wire.example"
    settings = load_settings(_env_file=None, data_dir=tmp_path, public_url=public_url, trusted_proxies=proxies)
    return create_app(settings, engine=engine, vault=vault)


def browser_at(app: Flask, forwarded_for: str, proxy: str = "10.0.0.1") -> Browser:
    """A browser whose requests come with this X-Forwarded-For, and all else that a proxy says."""
    client = app.test_client()
    client.environ_base.update(
        REMOTE_ADDR=proxy,
        HTTP_HOST="10.0.0.2:8000",
        HTTP_X_FORWARDED_FOR=forwarded_for,
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="wire.example",
        HTTP_REFERER="https://wire.example/sign-in",
    )
    return Browser(client)


def wrong(browser: Browser) -> str:
    """What the page says to a wrong password: an empty one counts as well, and takes no time."""
    return browser.post("/sign-in", {"email": EMAIL, "password": ""}).text


def test_the_whole_way_through_a_proxy(tmp_path: Path, engine: Engine, vault: Vault, world: World) -> None:
    """Signing in, a page, a form, signing out: no redirect leads to the host behind the proxy, no form is refused."""
    browser = browser_at(proxied(tmp_path, engine, vault, 1), "192.0.2.1")
    assert browser.get("/account").location == "/sign-in?next=/account"
    answer = browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD, "next": "/account"})
    assert answer.location == "/account"
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("Secure" in cookie.split("; ") and "Domain" not in cookie for cookie in cookies)
    page = browser.get("/account")
    assert page.headers["Strict-Transport-Security"]
    assert "10.0.0.2" not in page.text
    store = {"name": "Acme Books", "time_zone": "Europe/Berlin"}
    assert browser.post("/account/store", store).location == "/account"
    assert browser.post("/sign-out").location == "/sign-in"


def test_each_browser_counts_by_its_own_address(tmp_path: Path, engine: Engine, vault: Vault, world: World) -> None:
    """Otherwise all would share the proxy's, and anybody's guesses would shut the owner out."""
    app = proxied(tmp_path, engine, vault, 1)
    guesser, owner = browser_at(app, "192.0.2.1"), browser_at(app, "192.0.2.2")
    for _ in range(MOST_BY_ADDRESS_AND_EMAIL):
        assert TOO_MANY not in wrong(guesser)
    assert TOO_MANY in wrong(guesser)
    assert owner.post("/sign-in", {"email": EMAIL, "password": PASSWORD}).location == "/"


@pytest.mark.parametrize(
    ("proxies", "arrives"),
    [
        (0, "198.51.100.{}"),
        (1, "198.51.100.{}, 192.0.2.1"),
        (1, "198.51.100.{},198.51.100.{}, 192.0.2.1:4{}"),
        (2, "198.51.100.{}, 192.0.2.1, 10.0.0.9"),
    ],
)
def test_a_forged_address_is_no_way_around(
    tmp_path: Path, engine: Engine, vault: Vault, world: World, proxies: int, arrives: str
) -> None:
    """A proxy adds the address that it sees behind what the client sent; only what our proxies added counts."""
    app = proxied(tmp_path, engine, vault, proxies)
    said = [wrong(browser_at(app, arrives.format(*[n] * 3))) for n in range(MOST_BY_ADDRESS_AND_EMAIL + 1)]
    assert [TOO_MANY in each for each in said] == [False] * MOST_BY_ADDRESS_AND_EMAIL + [True]


def test_nothing_else_of_a_proxy_is_taken_for_true(tmp_path: Path, engine: Engine, vault: Vault, world: World) -> None:
    """Scheme, host and path come from POCKETWIRE_PUBLIC_URL, whatever a client writes into its headers."""
    browser = browser_at(proxied(tmp_path, engine, vault, 1), "192.0.2.1")
    browser.client.environ_base.update(HTTP_X_FORWARDED_HOST="evil.example", HTTP_X_FORWARDED_PREFIX="/evil")
    assert "/evil" not in browser.get("/sign-in").text
    form = {"email": EMAIL, "password": PASSWORD, "next": "http://evil.example/"}
    assert not browser.post("/sign-in", form).location
