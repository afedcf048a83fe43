"""Forgotten passwords: a mail's link, and nothing else, leads to another one; nobody learns who has an account."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import Engine

from recipes.accounts import change_password
from recipes.db import transaction
from recipes.models import Account
from recipes.settings import Settings, load_settings
from recipes.vault import Vault
from tests.conftest import NOW
from tests.mail_server import MailServer, mail_server
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, World
from web.app import create_app
from web.devices import COOKIE
from web.forgotten import MOST_BY_ADDRESS, MOST_BY_EMAIL
from web.throttle import MOST_BY_ADDRESS_AND_EMAIL, sign_in_limits

EMAIL, PAGE, PUBLIC_URL = "owner@acme.example", "/forgotten-password", "https://wire.example"
NEW = "another long password"
CHOSEN = {"password": NEW, "password_confirm": NEW}
ON_ITS_WAY, ENDED = "If there is an account for this address", "This link is no longer good"


@pytest.fixture
def mails() -> Iterator[MailServer]:
    """The mail server."""
    with mail_server() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, mails: MailServer) -> Settings:
    """Settings with a mail server and an address that the world sees."""
    return load_settings(_env_file=None, data_dir=tmp_path / "data", mail_server=mails.url, public_url=PUBLIC_URL)


def ask(browser: Browser, email: str = EMAIL) -> str:
    """What the page says to whoever asks for a link."""
    return browser.post(PAGE, {"email": email}).text


def link_in(mails: MailServer) -> str:
    """The path of the next mail's link, on our own address."""
    found = re.search(rf"^{PUBLIC_URL}(/\S+)$", mails.next_mail().get_content(), re.MULTILINE)
    assert found
    return found[1]


def sign_in(browser: Browser, password: str) -> bool:
    """Whether the owner gets in with it."""
    return browser.post("/sign-in", {"email": EMAIL, "password": password}).location == "/"


def test_the_whole_way(nobody: Browser, owner: Browser, app: Flask, mails: MailServer) -> None:
    """From the sign-in page to the mail to another password. All devices are signed out, the link is used up."""
    assert f'href="{PAGE}"' in nobody.get("/sign-in").text
    assert ON_ITS_WAY in ask(nobody, "Owner@ACME.example")
    link = link_in(mails)
    assert "Choose a new password" in nobody.get(link).text
    assert nobody.get("/").location == "/sign-in?next=/"
    assert owner.get("/").status_code == 200
    assert nobody.post(link, CHOSEN).location == "/sign-in"
    assert "Your password is changed" in nobody.get("/sign-in").text
    assert nobody.get("/").location == "/sign-in?next=/"
    assert owner.get("/").status_code == 302
    assert not sign_in(nobody, PASSWORD)
    assert sign_in(nobody, NEW)
    other = Browser(app.test_client())
    assert other.get(link).location == PAGE
    assert ENDED in other.get(PAGE).text
    assert other.post(link, {"password": "of a thief", "password_confirm": "of a thief"}).location == PAGE
    assert sign_in(other, NEW)


def test_the_mail(nobody: Browser, world: World, mails: MailServer) -> None:
    """Short and plain: who, where, the link, and what to do if it was somebody else."""
    ask(nobody)
    mail = mails.next_mail()
    assert mail["To"] == EMAIL
    assert mail["Subject"] == "Choose a new password for Pocketwire"
    assert mail.get_content_type() == "text/plain"
    words = mail.get_content()
    assert words.startswith(f"Somebody asked for a new password for {EMAIL} at {PUBLIC_URL}\n")
    assert "within an hour" in words
    assert "your password stays as it is" in words
    assert PASSWORD not in words


def test_nobody_learns_who_has_an_account(
    engine: Engine, app: Flask, stranger: Browser, world: World, mails: MailServer
) -> None:
    """An unknown address and a closed account read like any other, to the letter; only the right one gets a mail."""
    with transaction(engine) as session:
        session.get_one(Account, world.owner.id).active = False
    said = set()
    for email in ("who@acme.example", EMAIL, "stranger@other.example"):
        page = ask(Browser(app.test_client()), email)
        assert ON_ITS_WAY in page
        said.add(re.sub(r'name="csrf_token" value="[^"]+"', "", page).replace(email, ""))
    assert len(said) == 1
    # They are sent in the order in which they were asked for.
    assert mails.next_mail()["To"] == "stranger@other.example"


def test_who_answers_nothing_with_an_account_hashes_as_much(app: Flask) -> None:
    """The time must not tell: the link's token and the answer without one cost the same hash."""
    security = app.extensions["security"]
    token_hash, answer_hash = security.hashing_context.hash("x"), security.pwd_context.hash("x")
    cost = re.compile(r"^\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$")
    assert cost.match(token_hash)
    assert cost.findall(token_hash) == cost.findall(answer_hash)


def test_a_forged_host_leads_the_link_nowhere_else(nobody: Browser, world: World, mails: MailServer) -> None:
    """Else whoever asks for another's link would be sent its token by the other's click."""
    nobody.client.environ_base.update(HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="evil.example")
    ask(nobody)
    words = mails.next_mail().get_content()
    assert f"{PUBLIC_URL}{PAGE}/" in words
    assert "evil" not in words


def test_what_was_typed_is_no_way_into_a_header(nobody: Browser, world: World, mails: MailServer) -> None:
    """An address with a line break or a second address is refused."""
    for email in (f"{EMAIL}\r\nBcc: eve@evil.example", f"{EMAIL}, eve@evil.example", "", "x" * 100_000):
        assert "The e-mail address is not a valid one." in ask(nobody, email)
    ask(nobody)
    assert "evil" not in mails.next_text()


def test_an_address_asks_so_often_and_no_more(app: Flask, nobody: Browser, world: World, mails: MailServer) -> None:
    """Nobody sends mail to a list of people through us, nor learns who of them is here."""
    for _ in range(MOST_BY_ADDRESS - 1):
        app.extensions["pocketwire"].forgotten.admit({("address", "127.0.0.1"): MOST_BY_ADDRESS}, NOW)
    assert ON_ITS_WAY in ask(nobody, "who@acme.example")
    assert "Wait an hour" in ask(nobody)
    nobody.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert ON_ITS_WAY in ask(nobody)
    assert mails.next_mail()["To"] == EMAIL


def test_a_mailbox_is_not_flooded_and_what_is_in_it_stays_good(
    app: Flask, world: World, stranger: Browser, mails: MailServer
) -> None:
    """However many machines ask. The page says the same, and the links that were sent work."""
    links = []
    for n in range(MOST_BY_EMAIL + 3):
        browser = Browser(app.test_client())
        browser.client.environ_base["REMOTE_ADDR"] = f"192.0.2.{n}"
        assert ON_ITS_WAY in ask(browser)
        if n < MOST_BY_EMAIL:
            links.append(link_in(mails))
    ask(Browser(app.test_client()), "stranger@other.example")
    assert mails.next_mail()["To"] == "stranger@other.example"
    assert Browser(app.test_client()).post(links[0], CHOSEN).location == "/sign-in"


def test_a_link_ends_after_an_hour(app: Flask, nobody: Browser, world: World) -> None:
    """And cannot be made by hand."""

    class AnHourAgo(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(time.time()) - 3601

    made = app.extensions["security"].reset_serializer
    salt = app.config["SECURITY_RESET_SALT"]
    late = URLSafeTimedSerializer(made.secret_keys, salt=salt, signer=AnHourAgo).dumps([world.owner.fs_uniquifier, ""])
    forged = URLSafeTimedSerializer("another key", salt=salt).dumps([world.owner.fs_uniquifier, ""])
    good = made.dumps([world.owner.fs_uniquifier, ""])
    assert nobody.get(f"{PAGE}/{good}").status_code == 200
    for token in (late, forged, "nonsense"):
        assert nobody.get(f"{PAGE}/{token}").location == PAGE
        assert ENDED in nobody.get(PAGE).text
        assert nobody.post(f"{PAGE}/{token}", CHOSEN).location == PAGE
    assert sign_in(nobody, PASSWORD)


def test_a_link_ends_when_the_password_is_changed_otherwise(
    engine: Engine, nobody: Browser, world: World, mails: MailServer
) -> None:
    """By the operator, for one: an older mail is no way back in."""
    ask(nobody)
    with transaction(engine) as session:
        change_password(session, EMAIL, NEW)
    assert nobody.get(link_in(mails)).location == PAGE


def test_what_is_wrong_with_the_new_password_is_said(nobody: Browser, world: World, mails: MailServer) -> None:
    """And the link stays good for the next try."""
    ask(nobody)
    link = link_in(mails)
    assert "at least 10 characters" in nobody.post(link, {"password": "short", "password_confirm": "short"}).text
    assert "not the same" in nobody.post(link, {**CHOSEN, "password_confirm": "something else"}).text
    assert nobody.post(link, CHOSEN).location == "/sign-in"


def test_whoever_was_shut_out_gets_in_with_the_new_password(
    app: Flask, nobody: Browser, world: World, mails: MailServer
) -> None:
    """Most who ask for a link have tried too often before."""
    limits = sign_in_limits("127.0.0.1", EMAIL, None)
    assert [app.extensions["pocketwire"].sign_ins.admit(limits, NOW) for _ in range(MOST_BY_ADDRESS_AND_EMAIL)]
    assert not sign_in(nobody, PASSWORD)
    ask(nobody)
    assert nobody.post(link_in(mails), CHOSEN).location == "/sign-in"
    assert nobody.client.get_cookie(COOKIE) is not None
    assert sign_in(nobody, NEW)


def test_the_link_goes_into_no_other_request(nobody: Browser, world: World, mails: MailServer) -> None:
    """A page tells where it was opened to every stylesheet's server log, unless it is told not to."""
    ask(nobody)
    page = nobody.get(link_in(mails))
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert 'name="referrer"' not in page.text
    assert "no-store" in page.headers["Cache-Control"]


def test_the_link_goes_into_no_log(
    app: Flask, nobody: Browser, world: World, mails: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even when its page breaks in the middle, nor what signs the owner in."""
    ask(nobody)
    link = link_in(mails)
    nobody.get(link)

    def broken(token: str) -> str:
        raise RuntimeError(f"it broke, {len(token)} characters in")

    app.view_functions["security.reset_password"] = broken
    app.testing = False
    assert nobody.get(link).status_code == 500
    assert "it broke" in caplog.text
    assert "GET /forgotten-password/<token>" in caplog.text
    assert link.removeprefix(f"{PAGE}/")[:20] not in caplog.text
    assert world.owner.fs_uniquifier not in caplog.text
    assert EMAIL not in caplog.text


def test_without_a_mail_server_the_page_says_who_can_help(
    tmp_path: Path, engine: Engine, vault: Vault, world: World
) -> None:
    """Nobody waits for a mail that cannot come."""
    settings = load_settings(_env_file=None, data_dir=tmp_path)
    nobody = Browser(create_app(settings, engine=engine, vault=vault).test_client())
    assert f'href="{PAGE}"' in nobody.get("/sign-in").text
    for page in (nobody.get(PAGE).text, ask(nobody)):
        assert "Ask whoever runs this installation" in page
        assert "pocketwire account password" in page
        assert ON_ITS_WAY not in page
        assert '<form method="post"' not in page
