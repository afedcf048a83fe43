"""Sign-in, sign-out, password, the first-run link, and several stores."""

import re

from flask import Flask
from sqlalchemy import Engine
from sqlmodel import select

from recipes.accounts import change_password, first_run_token
from recipes.db import reading, transaction
from recipes.models import Account, Membership, Merchant
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, World, number

FIRST = {
    "store": "Acme Books",
    "email": "Ada@Acme.example",
    "password": "correct horse battery",
    "password_again": "correct horse battery",
}


def sign_in(browser: Browser, password: str = PASSWORD, **more: object) -> int:
    """Sends the sign-in form as the owner."""
    return browser.post("/sign-in", {"email": "owner@acme.example", "password": password, **more}).status_code


def test_sign_in_and_out(nobody: Browser, world: World) -> None:
    """The form lets the owner in; signing out lets nobody in any more."""
    assert sign_in(nobody) == 302
    assert "Acme Books" in nobody.get("/").text
    assert nobody.post("/sign-out").status_code == 302
    assert nobody.get("/").status_code == 302


def test_sign_in_leads_to_the_page_that_was_asked_for(nobody: Browser, world: World) -> None:
    """But never to another site."""
    asked = nobody.get("/activity?type=review.created")
    assert asked.location == "/sign-in?next=/activity?type%3Dreview.created"
    form = {"email": "owner@acme.example", "password": PASSWORD}
    elsewhere = nobody.post("/sign-in", {**form, "next": "https://evil.example/"})
    assert not (elsewhere.location or "").startswith("https://evil.example")


def test_wrong_password_and_unknown_e_mail_read_the_same(nobody: Browser, world: World) -> None:
    """Nobody learns which addresses have an account."""
    wrong = nobody.post("/sign-in", {"email": "owner@acme.example", "password": "not this one"}).text
    unknown = nobody.post("/sign-in", {"email": "who@acme.example", "password": "not this one"}).text
    assert "The e-mail or the password is wrong." in wrong
    assert "The e-mail or the password is wrong." in unknown


def test_an_account_that_was_closed_is_not_let_in(engine: Engine, owner: Browser, world: World) -> None:
    """Switching an account off ends its sessions too."""
    with transaction(engine) as session:
        session.get_one(Account, world.owner.id).active = False
    assert owner.get("/").status_code == 302


def test_password_change(engine: Engine, owner: Browser, app: Flask, world: World) -> None:
    """Needs the present one; ends every other session, not this one."""
    other = Browser(app.test_client())
    other.sign_in(world.owner)
    new = {"new_password": "another long password", "new_password_confirm": "another long password"}
    assert "That is not your present password." in owner.post("/account/password", {"password": "wrong", **new}).text
    assert owner.post("/account/password", {"password": PASSWORD, **new}).status_code == 302
    assert owner.get("/").status_code == 200
    assert other.get("/").status_code == 302
    assert sign_in(other, "another long password") == 302
    assert other.get("/").status_code == 200


def test_password_set_by_the_operator(engine: Engine, owner: Browser, nobody: Browser, world: World) -> None:
    """Ends every session there was, kept ones too, and lets in with the new one."""
    assert sign_in(nobody, remember="y") == 302
    assert nobody.client.get_cookie("pocketwire-remember") is not None
    with transaction(engine) as session:
        change_password(session, "owner@acme.example", "another long password")
    assert owner.get("/").status_code == 302
    assert nobody.get("/").status_code == 302
    assert sign_in(owner, "another long password") == 302
    assert owner.get("/").status_code == 200


def test_short_new_password_is_refused(owner: Browser) -> None:
    """With the sentence that says how long."""
    form = {"password": PASSWORD, "new_password": "short", "new_password_confirm": "short"}
    assert "at least 10 characters" in owner.post("/account/password", form).text


def test_first_run_link_makes_one_account(engine: Engine, nobody: Browser) -> None:
    """The way in on an empty installation: a store, an account, signed in; then the link is gone."""
    with transaction(engine) as session:
        token = first_run_token(session, NOW)
    wrong = nobody.get("/first-run/wrong")
    assert wrong.status_code == 404
    assert "Look for a newer one where Pocketwire was started." in wrong.text
    assert nobody.get(f"/first-run/{token}").status_code == 200
    assert nobody.post(f"/first-run/{token}", FIRST).location == "/"
    assert "Four steps" in nobody.get("/").text
    assert nobody.get(f"/first-run/{token}").status_code == 404
    with reading(engine) as session:
        assert session.exec(select(Account.email)).all() == ["ada@acme.example"]


def test_first_run_form_says_what_is_wrong(engine: Engine, nobody: Browser) -> None:
    """And makes nothing until it is right."""
    with transaction(engine) as session:
        token = first_run_token(session, NOW)
    answer = nobody.post(f"/first-run/{token}", {**FIRST, "password_again": "something else"})
    assert "The two passwords are not the same." in answer.text
    assert re.search(r'id="password"[^>]* autofocus', answer.text)
    assert "at least 10" in nobody.post(f"/first-run/{token}", {**FIRST, "password": "x", "password_again": "x"}).text
    with reading(engine) as session:
        assert session.exec(select(Merchant)).all() == []


def test_sign_in_page_of_an_empty_installation_points_to_the_link(nobody: Browser) -> None:
    """Nobody stands before a form that cannot work."""
    assert "first-run link" in nobody.get("/sign-in").text


def test_store_name_and_time_zone(owner: Browser) -> None:
    """Both are the merchant's to change; a zone that does not exist is refused."""
    assert owner.post("/account/store", {"name": "Moss & Co", "time_zone": "Europe/Berlin"}).status_code == 302
    page = owner.get("/account").text
    assert "Moss &amp; Co" in page
    assert "<option selected>Europe/Berlin</option>" in page
    assert owner.post("/account/store", {"name": "Moss & Co", "time_zone": "Mars/Olympus"}).status_code == 422


def test_several_stores_are_switched_between(engine: Engine, owner: Browser, world: World) -> None:
    """Each is seen alone."""
    with transaction(engine) as session:
        second = Merchant(name="Second Store", created_at=NOW)
        session.add(second)
        session.flush()
        session.add(Membership(account_id=number(world.owner), merchant_id=number(second)))
    assert owner.post("/account/switch", {"merchant": second.id}).status_code == 302
    assert "Second Store" in owner.get("/").text
    assert owner.get(f"/runs/{world.run_id}").status_code == 404


def test_an_account_without_a_store_is_told(engine: Engine, owner: Browser, world: World) -> None:
    """Rather than shown an error."""
    with transaction(engine) as session:
        session.delete(session.get_one(Membership, (world.owner.id, world.merchant_id)))
    answer = owner.get("/")
    assert (answer.status_code, "does not belong to any store" in answer.text) == (403, True)
