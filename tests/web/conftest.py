"""A small store with one of everything, its owner's browser, a stranger's, and one that nobody is signed in to."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine
from sqlmodel import Session, select

from recipes import connections, cookbook
from recipes.accounts import hash_password
from recipes.db import transaction
from recipes.events import event_type
from recipes.models import (
    Account,
    Attempt,
    AttemptResult,
    Connection,
    Endpoint,
    Event,
    LedgerRow,
    Membership,
    Merchant,
    Recipe,
    RecipeVersion,
    Run,
    RunState,
)
from recipes.settings import Settings, load_settings
from recipes.vault import Vault
from tests.conftest import NOW
from tests.web.browser import Browser
from tests.web.slack_stand_in import StandIn, stand_in
from web.app import create_app

PASSWORD = "a password of some length"
SLACK_TOKEN = "xoxb-0000000000-planted-secret"
PREBUILT = "review.created/slack-message"


@cache
def password_hash() -> str:
    """Hashing is slow on purpose: once is enough for all tests."""
    return hash_password(PASSWORD)


@dataclass(frozen=True)
class World:
    """The ids of what the owner has."""

    owner: Account
    merchant_id: int
    connection_id: int
    recipe_id: int
    event_id: int
    run_id: int
    row_id: int


class Row(Protocol):
    """A row of a table."""

    id: int | None


def number(row: Row) -> int:
    """The id of a stored row."""
    assert row.id is not None
    return row.id


def account_of(session: Session, email: str, merchant: Merchant) -> Account:
    """An account that belongs to a store."""
    account = Account(email=email, password=password_hash(), fs_uniquifier=secrets.token_hex(8), created_at=NOW)
    session.add(account)
    session.flush()
    session.add(Membership(account_id=number(account), merchant_id=number(merchant)))
    return account


@pytest.fixture
def slack() -> Iterator[StandIn]:
    """What stands in for Slack."""
    with stand_in() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, slack: StandIn) -> Settings:
    """Settings with Slack's stand-in."""
    return load_settings(_env_file=None, data_dir=tmp_path / "data", api_base={"slack": slack.base})


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates, each compiled once: every test has an app of its own, and compiling took half its time."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, engine: Engine, vault: Vault, compiled_templates: FileSystemBytecodeCache) -> Flask:
    """The app at a fixed time."""
    app = create_app(settings, engine=engine, vault=vault, now=lambda: NOW)
    app.testing = True
    app.jinja_env.bytecode_cache = compiled_templates
    return app


@pytest.fixture
def nobody(app: Flask) -> Browser:
    """A browser that nobody is signed in to."""
    return Browser(app.test_client())


@pytest.fixture
def world(engine: Engine, vault: Vault, merchant: Merchant, endpoint: Endpoint) -> World:
    """A store with a connection, a recipe that is on, an event and a run that failed."""
    with transaction(engine) as session:
        owner = account_of(session, "owner@acme.example", merchant)
        connection = connections.add(
            session, vault, number(merchant), "slack", "Slack", {"bot_token": SLACK_TOKEN}, NOW - timedelta(days=2)
        )
        recipe = add_recipe(session, vault, merchant, connection)
        event = add_event(session, merchant, endpoint, NOW - timedelta(minutes=5))
        run = add_run(session, event, recipe, connection)
        row = LedgerRow(
            merchant_id=number(merchant), table="Orders", key="ord_1", columns={"Buyer": "ada@example.com"},
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return World(
            owner, number(merchant), number(connection), number(recipe), number(event), number(run), number(row)
        )


@pytest.fixture
def owner(app: Flask, world: World) -> Browser:
    """The browser of whom the store belongs to."""
    browser = Browser(app.test_client())
    browser.sign_in(world.owner)
    return browser


@pytest.fixture
def stranger(app: Flask, engine: Engine) -> Browser:
    """The browser of somebody with another store on the same installation."""
    with transaction(engine) as session:
        merchant = Merchant(name="Other Store", created_at=NOW)
        session.add(merchant)
        session.flush()
        account = account_of(session, "stranger@other.example", merchant)
    browser = Browser(app.test_client())
    browser.sign_in(account)
    return browser


def add_recipe(session: Session, vault: Vault, merchant: Merchant, connection: Connection) -> Recipe:
    """The shipped Slack recipe, set up and on."""
    draft = cookbook.draft_from_prebuilt(session, number(merchant), PREBUILT)
    assert draft is not None
    step = draft.steps[0]
    fields = {**step.fields, "channel": "C1"}
    steps = [type(step)(step.app, step.action, connection.id, fields, {"channel": "#reviews"})]
    filled = type(draft)(**{**vars(draft), "steps": steps})
    recipe = cookbook.save(session, vault, number(merchant), filled, by="a test", now=NOW)
    return cookbook.enable(session, number(merchant), number(recipe), NOW - timedelta(hours=1))


def add_event(session: Session, merchant: Merchant, endpoint: Endpoint, at: datetime) -> Event:
    """A review, stored as it came."""
    known = event_type("review.created")
    assert known is not None
    event = Event(
        merchant_id=number(merchant), endpoint_id=number(endpoint), mode="live", type="review.created",
        subject="ada@example.com", occurred_at=at, received_at=at, fanned_out_at=at,
        body=json.dumps(known.sample()).encode(),
    )  # fmt: skip
    session.add(event)
    session.flush()
    return event


def add_run(
    session: Session, event: Event, recipe: Recipe, connection: Connection, state: RunState = RunState.FAILED
) -> Run:
    """A run of the recipe for the event, with one try."""
    version = session.exec(select(RecipeVersion).where(RecipeVersion.recipe_id == recipe.id)).one()
    run = Run(
        merchant_id=event.merchant_id, event_id=number(event), recipe_id=number(recipe), version_id=number(version),
        connection_id=connection.id, lane="lane", order_at=event.occurred_at, state=state, due_at=NOW,
        outcome="This channel is gone: choose another one.", created_at=event.received_at,
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.add(
        Attempt(
            run_id=number(run), step=0, number=1, started_at=NOW, milliseconds=120, result=AttemptResult.PERMANENT,
            outcome=run.outcome, request={"channel": "C1", "text": "Five stars"}, status=200,
            answer="channel_not_found",
        )
    )  # fmt: skip
    return run
