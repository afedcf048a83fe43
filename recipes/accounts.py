"""People who sign in, the stores they belong to, and the link that makes the first account."""

import hashlib
import secrets
import unicodedata
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from argon2 import PasswordHasher
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete
from sqlmodel import Session, col, select

from recipes.db import Lock, one_at_a_time
from recipes.endpoints import make_endpoint
from recipes.models import Account, FirstRun, Membership, Merchant, Mode
from recipes.refusal import Refusal

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 128
LONGEST_NAME = 80

# What OWASP's Password Storage Cheat Sheet asks of argon2id: 19 MiB for a moment, which many people who sign in at
# once do not turn into gigabytes.
HASHING: dict[str, Any] = {"memory_cost": 19 * 1024, "time_cost": 2, "parallelism": 1}


class AccountError(Refusal):
    """What was asked for an account cannot be. The text is a sentence for whoever asked."""


# ── The first-run link ───────────────────────────────────────────────────────────────────────────────────


def first_run_token(session: Session, now: datetime) -> str | None:
    """A token for the link that makes the first account; earlier links end. None once there is an account."""
    one_at_a_time(session, Lock.ACCOUNTS)
    if session.exec(select(col(Account.id)).limit(1)).first() is not None:
        return None
    token = secrets.token_urlsafe(24)
    session.merge(FirstRun(id=1, token_hash=_digest(token), created_at=now))
    session.flush()
    return token


def first_run_is_open(session: Session, token: str) -> bool:
    """Whether `token` is the first-run link's and no account exists yet.

    Ask in the transaction that makes the account: the link is locked until it ends, so it cannot be used twice.
    """
    link = session.exec(select(FirstRun).with_for_update()).first()
    return link is not None and secrets.compare_digest(link.token_hash, _digest(token))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# ── Accounts ─────────────────────────────────────────────────────────────────────────────────────────────


def create_account(session: Session, email: str, password: str, merchant_name: str, now: datetime) -> Account:
    """An account with a new store of its own, and closes the first-run link. Raises AccountError.

    The store's live endpoint is made with it, so that a sample can be sent at once.
    """
    name = _checked_name(session, merchant_name)
    account = _new_account(session, email, password, now)
    merchant = Merchant(name=name, created_at=now)
    session.add(merchant)
    session.flush()
    _join(session, account, merchant)
    make_endpoint(session, _stored(merchant.id), Mode.LIVE, now)
    return account


def create_account_in(session: Session, merchant: Merchant, email: str, password: str, now: datetime) -> Account:
    """An account that belongs to a store which exists already. Raises AccountError."""
    account = _new_account(session, email, password, now)
    _join(session, account, merchant)
    return account


def change_password(session: Session, email: str, password: str) -> Account:
    """Gives an account another password and ends all of its sessions. Raises AccountError."""
    address = normal_email(email)
    account = session.exec(select(Account).where(Account.email == address)).first()
    if account is None:
        raise AccountError(f"There is no account for {address}.")
    account.password = hash_password(password)
    account.fs_uniquifier = secrets.token_hex(32)
    session.add(account)
    session.flush()
    return account


def hash_password(password: str) -> str:
    """The hash to store: argon2id, as Flask-Security verifies it. Raises AccountError on a bad length."""
    # Flask-Security compares the password in this normal form, so it must be hashed in it.
    normal = unicodedata.normalize("NFKD", password)
    if len(normal) < SHORTEST_PASSWORD:
        raise AccountError(f"The password has to be at least {SHORTEST_PASSWORD} characters long.")
    if len(normal) > LONGEST_PASSWORD:
        raise AccountError(f"The password can be at most {LONGEST_PASSWORD} characters long.")
    return PasswordHasher(**HASHING).hash(normal)


def normal_email(email: str) -> str:
    """An e-mail address as accounts keep it: checked for its form, in lower case. Raises AccountError."""
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise AccountError("The e-mail address is not a valid one.") from None


def _new_account(session: Session, email: str, password: str, now: datetime) -> Account:
    address = normal_email(email)
    one_at_a_time(session, Lock.ACCOUNTS)
    if session.exec(select(Account).where(Account.email == address)).first():
        raise AccountError(f"There is already an account for {address}.")
    account = Account(
        email=address, password=hash_password(password), fs_uniquifier=secrets.token_hex(32), created_at=now
    )
    session.add(account)
    session.execute(delete(FirstRun))
    session.flush()
    return account


def _join(session: Session, account: Account, merchant: Merchant) -> None:
    session.add(Membership(account_id=_stored(account.id), merchant_id=_stored(merchant.id)))
    session.flush()


def _stored(number: int | None) -> int:
    if number is None:
        raise ValueError("the row is not stored yet")
    return number


# ── Stores ───────────────────────────────────────────────────────────────────────────────────────────────


def merchants_of(session: Session, account_id: int) -> list[Merchant]:
    """The stores an account belongs to, by name."""
    found = select(Merchant).join(Membership, col(Membership.merchant_id) == col(Merchant.id))
    return list(session.exec(found.where(Membership.account_id == account_id).order_by(col(Merchant.name))))


def merchant_named(session: Session, name: str | None) -> Merchant:
    """The store of this name, or the only one there is. Raises AccountError if that is none or several."""
    merchants = list(session.exec(select(Merchant).order_by(col(Merchant.name))))
    listed = ", ".join(merchant.name for merchant in merchants)
    if not merchants:
        raise AccountError("There is no store yet: make an account first.")
    if name is None:
        if len(merchants) > 1:
            raise AccountError(f"There are several stores: choose one with --merchant. ({listed})")
        return merchants[0]
    for merchant in merchants:
        if merchant.name == name.strip():
            return merchant
    raise AccountError(f"There is no store called {name}. ({listed})")


def change_store(session: Session, merchant_id: int, name: str, time_zone: str) -> Merchant:
    """Gives a store another name and time zone ("Europe/Berlin"). Raises AccountError, with nothing changed."""
    merchant = session.get_one(Merchant, merchant_id)
    if time_zone not in available_timezones():
        raise AccountError(f"There is no time zone called {time_zone}: choose one such as Europe/Berlin.")
    if " ".join(name.split()) != merchant.name:
        merchant.name = _checked_name(session, name)
    merchant.time_zone = time_zone
    session.add(merchant)
    session.flush()
    return merchant


def _checked_name(session: Session, name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise AccountError("The store's name is empty.")
    if len(name) > LONGEST_NAME:
        raise AccountError(f"The store's name can be at most {LONGEST_NAME} characters long.")
    one_at_a_time(session, Lock.ACCOUNTS)
    if session.exec(select(Merchant).where(Merchant.name == name)).first():
        raise AccountError(f"There is already a store called {name}.")
    return name
