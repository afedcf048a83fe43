"""Fixtures for the engine's tests: real clients of Slack and Mailchimp against stand-ins on loopback."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy import event as database_event

from recipes.db import open_database
from recipes.models import Endpoint
from recipes.vault import Vault
from tests.integrations.conftest import StartVendor, _no_proxy, start_vendor
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen

__all__ = ["_no_proxy", "start_vendor"]


@pytest.fixture
def slack(start_vendor: StartVendor) -> Vendor:
    """Slack on loopback; a message is posted, whatever the channel."""
    vendor = start_vendor("slack.openapi.json", "/api")
    vendor.answers["POST /chat.postMessage"] = answer({"ok": True, "channel": "C0123456789", "ts": "1.2"})
    return vendor


@pytest.fixture
def mailchimp(start_vendor: StartVendor) -> Vendor:
    """Mailchimp on loopback; whoever is added is there."""
    vendor = start_vendor("mailchimp.openapi.json", "/3.0")
    member = {"id": "1", "status": "subscribed"}
    vendor.answers["PUT /lists/{list_id}/members/{subscriber_hash}"] = answer(member)
    return vendor


NewDatabase = Callable[[], AbstractContextManager[Engine]]


@pytest.fixture
def new_database(request: pytest.FixtureRequest, database_url: str, all_tables: Path, tmp_path: Path) -> NewDatabase:
    """An empty database with all tables as often as it is asked for one: a property's examples have one each."""

    numbers = count()

    @contextmanager
    def on_sqlite() -> Iterator[Engine]:
        file = tmp_path / f"story-{next(numbers)}.db"
        shutil.copyfile(all_tables, file)
        engine = open_database(f"sqlite:///{file}")
        # Nothing here is about power cuts, and an example commits a hundred times.
        database_event.listen(engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
        yield engine
        engine.dispose()
        file.unlink()

    @contextmanager
    def on_postgresql() -> Iterator[Engine]:
        with request.getfixturevalue("postgresql").database() as url:
            engine = open_database(url)
            yield engine
            engine.dispose()

    return on_postgresql if database_url else on_sqlite


@pytest.fixture
def kitchen(engine: Engine, vault: Vault, endpoint: Endpoint, slack: Vendor, mailchimp: Vendor) -> Kitchen:
    """An engine with its services on loopback."""
    bases = {"slack": slack.url + "/", "mailchimp": mailchimp.url}
    return Kitchen(engine, vault, endpoint, bases)
