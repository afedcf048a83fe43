"""Parts common to all tests: real databases, a fixed time, one merchant.

A test has a SQLite file in a temporary folder; a module marked `both_databases` runs on PostgreSQL as well.
What needs that server is marked `long`.
"""

import gc
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlmodel import SQLModel

from recipes.db import open_database, transaction
from recipes.models import Endpoint, Merchant
from recipes.settings import Settings, load_settings
from recipes.vault import Place, Vault
from tests.postgresql import PostgreSQL, running

NOW = datetime(2026, 7, 24, 12, 0, tzinfo=UTC)
SECRET = "whsec_1a2b3c4d5e6f7g8h9i0j"
TOKEN = "token-of-the-live-endpoint"


both_databases = pytest.mark.both_databases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives tests marked `both_databases` both; those that need no database run once."""
    if "database_url" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_databases"):
        on_postgresql = pytest.param("postgresql", marks=pytest.mark.long)
        metafunc.parametrize("database_url", ["sqlite", on_postgresql], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that asks for the server as `long`."""
    for item in items:
        if "postgresql" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)


def pytest_collection_finish() -> None:
    """Keeps modules out of every garbage collection to come, and collects seldom: it was a quarter of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server, started when it is first needed."""
    with running() as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """What DATABASE_URL is: nothing, which is a SQLite file, or a new database on PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield ""
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings with a data directory of the test's own; nothing is read from the environment's `.env`."""
    return load_settings(_env_file=None, data_dir=tmp_path / "data", database_url=database_url)


@pytest.fixture(scope="session")
def all_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and nothing in them. To be copied: that is quicker than to make them."""
    path = tmp_path_factory.mktemp("tables") / "pocketwire.db"
    engine = open_database(f"sqlite:///{path}")
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(settings: Settings, all_tables: Path) -> Iterator[Engine]:
    """A database with all tables."""
    if not settings.is_postgresql:
        shutil.copyfile(all_tables, settings.data_dir / "pocketwire.db")
    engine = open_database(settings.database)
    if not settings.is_postgresql:
        # No test in one process can tell what a power cut leaves, and each commit would wait for the disk.
        event.listen(engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
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
