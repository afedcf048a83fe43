"""Accounts: who may sign in, with which password, and the link that makes the first one."""

import unicodedata

import pytest
from argon2 import PasswordHasher
from passlib.context import CryptContext
from sqlalchemy import Engine
from sqlmodel import Session, select

from recipes.accounts import (
    HASHING,
    AccountError,
    change_password,
    create_account,
    create_account_in,
    first_run_is_open,
    first_run_token,
    hash_password,
    merchant_named,
    merchants_of,
)
from recipes.db import reading, transaction
from recipes.endpoints import find_endpoint
from recipes.models import Account, Merchant, Mode
from tests.conftest import NOW

PASSWORD = "correct horse battery"


def make(session: Session, email: str = "ada@example.com", store: str = "Acme") -> Account:
    return create_account(session, email, PASSWORD, store, NOW)


def test_the_first_run_link_ends_with_the_first_account(engine: Engine) -> None:
    with transaction(engine) as session:
        token = first_run_token(session, NOW)
        assert token
        assert first_run_is_open(session, token)
        assert not first_run_is_open(session, "another")
        make(session)
        assert not first_run_is_open(session, token)
        assert first_run_token(session, NOW) is None


def test_a_new_first_run_link_ends_the_one_before(engine: Engine) -> None:
    with transaction(engine) as session:
        before, after = first_run_token(session, NOW), first_run_token(session, NOW)
        assert before
        assert after
        assert not first_run_is_open(session, before)
        assert first_run_is_open(session, after)


def test_an_account_comes_with_a_store_and_an_endpoint_that_test_events_can_be_sent_to(engine: Engine) -> None:
    with transaction(engine) as session:
        account = make(session)
    with reading(engine) as session:
        (store,) = merchants_of(session, account.id or 0)
        endpoint = find_endpoint(session, store.id or 0, Mode.LIVE)
    assert store.name == "Acme"
    assert endpoint is not None
    assert endpoint.secret is None


def test_the_hash_is_one_that_flask_securitys_libraries_verify(engine: Engine) -> None:
    hashed = hash_password(PASSWORD)
    context = CryptContext(schemes=["argon2"], **{f"argon2__{name}": value for name, value in HASHING.items()})
    assert hashed.startswith("$argon2id$")
    assert context.verify(PASSWORD, hashed)
    assert not context.needs_update(hashed)
    assert PasswordHasher().verify(hashed, PASSWORD)


def test_a_password_is_hashed_in_the_form_that_it_is_verified_in() -> None:
    """The same letters can be typed in two ways; Flask-Security compares the decomposed one."""
    composed = unicodedata.normalize("NFC", "passwört-zoë")
    assert PasswordHasher().verify(hash_password(composed), unicodedata.normalize("NFKD", composed))


@pytest.mark.parametrize(
    ("email", "password", "store", "sentence"),
    [
        ("nobody", PASSWORD, "Other", "not a valid one"),
        ("ada@example.com\nBcc: eve@example.com", PASSWORD, "Other", "not a valid one"),
        ("Ada@Example.com", PASSWORD, "Other", "already an account"),
        ("eve@example.com", "123456789", "Other", "at least 10"),
        ("eve@example.com", "x" * 129, "Other", "at most 128"),
        ("eve@example.com", PASSWORD, "  ", "name is empty"),
        ("eve@example.com", PASSWORD, "Acme", "already a store"),
        ("eve@example.com", PASSWORD, "x" * 81, "at most 80"),
    ],
)
def test_what_cannot_be_an_account_is_refused_in_a_sentence(
    engine: Engine, email: str, password: str, store: str, sentence: str
) -> None:
    with transaction(engine) as session:
        make(session)
    with pytest.raises(AccountError, match=sentence), transaction(engine) as session:
        create_account(session, email, password, store, NOW)
    with reading(engine) as session:
        assert len(session.exec(select(Account)).all()) == 1
        assert len(session.exec(select(Merchant)).all()) == 1


def test_an_email_is_kept_in_lower_case(engine: Engine) -> None:
    with transaction(engine) as session:
        assert make(session, " Ada@Example.COM ").email == "ada@example.com"


def test_a_new_password_ends_every_session(engine: Engine) -> None:
    with transaction(engine) as session:
        before = make(session).fs_uniquifier
        changed = change_password(session, "ADA@example.com", "another long password")
    assert changed.fs_uniquifier != before
    assert PasswordHasher().verify(changed.password, "another long password")
    with pytest.raises(AccountError, match="no account for"), transaction(engine) as session:
        change_password(session, "eve@example.com", "another long password")


def test_two_people_can_belong_to_one_store(engine: Engine) -> None:
    with transaction(engine) as session:
        first = make(session)
        (store,) = merchants_of(session, first.id or 0)
        second = create_account_in(session, store, "bob@example.com", PASSWORD, NOW)
        assert merchants_of(session, second.id or 0) == [store]


def test_a_store_is_found_by_name_or_as_the_only_one(engine: Engine) -> None:
    with transaction(engine) as session:
        with pytest.raises(AccountError, match="no store yet"):
            merchant_named(session, None)
        make(session)
        assert merchant_named(session, None).name == "Acme"
        make(session, "eve@example.com", "Zeta")
        assert merchant_named(session, "Zeta").name == "Zeta"
        with pytest.raises(AccountError, match=r"--merchant.*Acme, Zeta"):
            merchant_named(session, None)
        with pytest.raises(AccountError, match="no store called Beta"):
            merchant_named(session, "Beta")
