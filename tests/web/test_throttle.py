"""Guessing passwords is slowed down, and no stranger can lock the owner of an account out by it."""

from datetime import timedelta

import pytest
from flask import Flask

from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, World
from web.devices import COOKIE
from web.throttle import (
    MOST_BY_ADDRESS,
    MOST_BY_ADDRESS_AND_EMAIL,
    MOST_BY_DEVICE,
    MOST_BY_EMAIL,
    MOST_KEYS,
    WINDOW,
    Throttle,
    network_of,
    sign_in_limits,
)

HERE, EMAIL = "127.0.0.1", "owner@acme.example"
TOO_MANY = "Wait ten minutes"


def fails(app: Flask, times: int, *, address: str = "{}.example", email: str = EMAIL, device: str | None = None) -> int:
    """How many of so many tries are let as far as the password, which is wrong. {}: the try's number."""
    throttle: Throttle = app.extensions["pocketwire"].sign_ins
    limits = (sign_in_limits(address.format(n), email.format(n), device) for n in range(times))
    return sum(throttle.admit(each, NOW) for each in limits)


def sign_in(browser: Browser, email: str = EMAIL, password: str = PASSWORD) -> str:
    """Where the form leads; what its page says if nowhere."""
    answer = browser.post("/sign-in", {"email": email, "password": password})
    return answer.location or answer.text


def test_a_window_of_tries() -> None:
    """The most are let through, one more is not, and after the window the first ones no longer count."""
    throttle = Throttle()
    assert [throttle.admit({("ada",): 3}, NOW) for _ in range(5)] == [True] * 3 + [False] * 2
    assert throttle.admit({("grace",): 3}, NOW)
    assert not throttle.admit({("ada",): 3}, NOW + WINDOW - timedelta(seconds=1))
    assert throttle.admit({("ada",): 3}, NOW + WINDOW)


def test_a_refused_try_counts_nowhere() -> None:
    """Whoever is shut out for another's guesses does not use up their own tries."""
    throttle = Throttle()
    assert throttle.admit({("full",): 1}, NOW)
    assert not throttle.admit({("own",): 1, ("full",): 1}, NOW)
    assert throttle.admit({("own",): 1}, NOW)


def test_a_try_that_is_taken_back_does_not_count() -> None:
    """Signing in and out all day is no guessing."""
    throttle = Throttle()
    for _ in range(9):
        assert throttle.admit({("ada",): 2, ("here",): 2}, NOW)
        throttle.take_back([("ada",), ("here",)])


def test_memory_is_bounded_and_what_is_under_attack_stays() -> None:
    """Ten thousand names forget the oldest count, not the one that is tried again and again."""
    throttle = Throttle()
    throttle.admit({("old",): 1}, NOW)
    for n in range(MOST_KEYS):
        throttle.admit({(str(n),): 1, ("busy",): 2 * MOST_KEYS}, NOW)
    assert throttle.admit({("old",): 1}, NOW)
    assert not throttle.admit({("busy",): MOST_KEYS}, NOW)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::1]:4711", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", ""),
        ("x" * 5000, ""),
        (None, ""),
    ],
)
def test_addresses_that_one_person_has_count_together(address: str | None, network: str) -> None:
    """A provider gives 2⁶⁴ addresses of IPv6 to each customer: they are not as many customers."""
    assert network_of(address) == network


def test_the_form_keeps_to_the_throttle(app: Flask, nobody: Browser, world: World) -> None:
    """Even the right password has to wait, however the address is spelt; other accounts and addresses do not."""
    assert fails(app, 99, address=HERE) == MOST_BY_ADDRESS_AND_EMAIL
    for spelling in (EMAIL, "Owner@ACME.example", "owner@acme。example"):
        assert TOO_MANY in sign_in(nobody, spelling)
    assert nobody.get("/").status_code == 302
    assert "The e-mail or the password is wrong." in sign_in(nobody, "someone@else.example")
    nobody.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert sign_in(nobody) == "/"


def test_wrong_passwords_count_and_right_ones_do_not(app: Flask, nobody: Browser, world: World) -> None:
    """Through the form itself, whether there is such an account or not."""
    for email in (EMAIL, "who@acme.example"):
        fails(app, MOST_BY_ADDRESS_AND_EMAIL - 1, address=HERE, email=email)
    assert sign_in(nobody) == "/"
    nobody.post("/sign-out")
    nobody.client.delete_cookie(COOKIE)
    for email in (EMAIL, "who@acme.example"):
        assert "The e-mail or the password is wrong." in sign_in(nobody, email, "a guess of some length")
        assert TOO_MANY in sign_in(nobody, email)


def test_one_address_with_many_names_is_slowed_down(app: Flask, nobody: Browser, world: World) -> None:
    """A list of leaked passwords holds one for each name."""
    assert fails(app, 99, address=HERE, email="name{}@acme.example") == MOST_BY_ADDRESS
    assert TOO_MANY in sign_in(nobody)


def test_one_name_from_many_addresses_is_slowed_down(app: Flask, nobody: Browser, world: World) -> None:
    """Whoever rents a thousand machines has no thousand times the guesses."""
    assert fails(app, 199, address="192.0.2.{}") == MOST_BY_EMAIL
    assert TOO_MANY in sign_in(nobody)


def test_nobody_locks_the_owner_out(app: Flask, nobody: Browser, world: World) -> None:
    """Whoever has signed in on this device before gets in, however often strangers guess, even from here."""
    assert sign_in(nobody) == "/"
    nobody.post("/sign-out")
    fails(app, 199, address=HERE)
    fails(app, 199, address="192.0.2.{}")
    fails(app, 199, address=HERE, email="name{}@acme.example")
    assert TOO_MANY in sign_in(Browser(app.test_client()))
    assert sign_in(nobody) == "/"


def test_a_known_device_has_its_own_limit(nobody: Browser, world: World) -> None:
    """Whoever finds the owner's laptop does not guess without end either."""
    assert sign_in(nobody) == "/"
    nobody.post("/sign-out")
    for _ in range(MOST_BY_DEVICE):
        # An empty one counts as well, and takes no time.
        assert TOO_MANY not in sign_in(nobody, password="")
    assert TOO_MANY in sign_in(nobody)


def test_a_device_is_known_for_its_own_account_only(
    app: Flask, nobody: Browser, stranger: Browser, world: World
) -> None:
    """Having some account is no way to guess at another's; nor is a cookie that one made oneself."""
    assert sign_in(nobody) == "/"
    nobody.post("/sign-out")
    assert nobody.client.get_cookie(COOKIE) is not None
    fails(app, 99, address=HERE, email="stranger@other.example")
    assert TOO_MANY in sign_in(nobody, "stranger@other.example")
    fails(app, 99, address=HERE)
    nobody.client.set_cookie(COOKIE, "0123456789abcdef.bm90IG91cnM")
    assert TOO_MANY in sign_in(nobody)


def test_the_device_cookie_tells_nothing_and_no_script_reads_it(nobody: Browser, world: World) -> None:
    """It stays for a year after signing out, so it must not say whose it is."""
    assert sign_in(nobody) == "/"
    cookie = nobody.client.get_cookie(COOKIE)
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert "owner" not in cookie.value
    assert cookie.max_age == 365 * 24 * 60 * 60
