"""Parts common to all tests: real SQLite files in a temporary folder, a fixed time, one merchant."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from recipes.db import open_database, transaction
from recipes.models import Endpoint, Merchant
from recipes.settings import Settings, load_settings
from recipes.vault import Place, Vault

NOW = datetime(2026, 7, 24, 12, 0, tzinfo=UTC)
SECRET = "whsec_1a2b3c4d5e6f7g8h9i0j"
TOKEN = "token-of-the-live-endpoint"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data directory of the test's own; nothing is read from the environment's `.env`."""
    return load_settings(_env_file=None, data_dir=tmp_path / "data")


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """A database with all tables."""
    engine = open_database(settings.database)
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def vault(settings: Settings) -> Vault:
    """The vault of the settings' keys."""
    return Vault.from_keys(settings.sealing_keys())


@pytest.fixture
def merchant(engine: Engine) -> Merchant:
    """A merchant."""
    with transaction(engine) as session:
        merchant = Merchant(name="Acme Books", created_at=NOW)
        session.add(merchant)
    return merchant


@pytest.fixture
def endpoint(engine: Engine, vault: Vault, merchant: Merchant) -> Endpoint:
    """The merchant's live endpoint, with SECRET set."""
    assert merchant.id is not None
    with transaction(engine) as session:
        endpoint = Endpoint(
            merchant_id=merchant.id,
            token=TOKEN,
            secret=vault.seal(SECRET, Place("endpoint", "secret", TOKEN)),
            created_at=NOW,
        )
        session.add(endpoint)
    return endpoint
