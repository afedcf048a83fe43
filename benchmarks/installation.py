"""A whole Pocketwire in a temporary folder: stores that sell, each with a connection and a recipe that is on."""

import json
import sqlite3
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session

from benchmarks.deliveries import EVENT
from benchmarks.processes import free_port, running, until
from recipes.accounts import create_account
from recipes.db import open_database, transaction
from recipes.endpoints import endpoint_of, set_secret
from recipes.migrations import migrate
from recipes.models import Connection, Merchant, Mode, Recipe, RecipeVersion
from recipes.settings import Settings, load_settings
from recipes.vault import Place, Vault

# A connection takes five calls at once at Mailchimp: together these keep every thread of the engine at work.
STORES = 20
THREADS = 64
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
API_KEY = "0123456789abcdef0123456789abcdef-us21"
SECRET = "whsec_benchmark"  # noqa: S105
KEY = "a-key-that-every-machine-of-the-benchmark-has"


@dataclass(frozen=True)
class Installation:
    """A data folder. endpoints: path and secret of each store's; with_recipes: whether anything is done."""

    folder: Path
    settings: Settings
    endpoints: Sequence[tuple[str, str]]

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / "data" / "pocketwire.db"

    def count(self, statement: str) -> int:
        """What a SELECT of one number finds."""
        with closing(sqlite3.connect(self.file)) as database:
            number: int = database.execute(statement).fetchone()[0]
            return number

    def wait_until_settled(self, seconds: float = 120.0) -> None:
        """Until nothing is left to be fanned out or performed."""
        until(
            lambda: (
                not self.count("SELECT EXISTS (SELECT 1 FROM event WHERE fanned_out_at IS NULL)")
                and not self.count(
                    "SELECT EXISTS (SELECT 1 FROM run WHERE state IN ('queued', 'running', 'waiting', 'held'))"
                )
            ),
            "everything settled",
            seconds,
        )

    @contextmanager
    def serving(self, service: int = 9) -> Iterator["Serving"]:
        """The service itself while the block runs. service: the port of the stand-in."""
        port = free_port()
        with running(
            "recipes.cli", "serve", port=port, folder=self.folder, **self._environment("data", port, service)
        ) as process:
            yield Serving(port, process)

    @contextmanager
    def cluster(self, service: int, *, workers: int) -> Iterator["Serving"]:
        """One that receives, and workers, while the block runs; each with a folder of its own. Needs PostgreSQL."""
        port = free_port()
        with ExitStack() as stack:
            receiving = stack.enter_context(
                running(
                    "recipes.cli",
                    "serve",
                    "--no-engine",
                    port=port,
                    folder=self.folder,
                    **self._environment("data", port, service),
                )
            )
            working = [
                stack.enter_context(
                    running(
                        "recipes.cli",
                        "worker",
                        port=None,
                        folder=self.folder,
                        **self._environment(f"worker-{number}", port, service),
                    )
                )
                for number in range(workers)
            ]
            yield Serving(port, receiving, working)

    def _environment(self, data: str, port: int, service: int) -> Mapping[str, str]:
        return {
            "DATABASE_URL": self.settings.database_url,
            "POCKETWIRE_DATA_DIR": str(self.folder / data),
            "POCKETWIRE_BIND": f"127.0.0.1:{port}",
            "POCKETWIRE_SECRET_KEY": KEY,
            "POCKETWIRE_CREDENTIALS_KEY": KEY,
            "POCKETWIRE_ENGINE_THREADS": str(THREADS),
            "POCKETWIRE_API_BASE__MAILCHIMP": f"http://127.0.0.1:{service}/3.0",
        }


@dataclass(frozen=True)
class Serving:
    """A service that runs: its port, its first process, and those of the workers beside it."""

    port: int
    process: int
    workers: Sequence[int] = ()


def install(folder: Path, *, stores: int = STORES, recipes: bool = True, database: str = "") -> Installation:
    """A new installation in an empty folder. database: the URL of an empty one, if not a file in the folder."""
    folder.mkdir(parents=True)
    settings = load_settings(
        _env_file=None, data_dir=folder / "data", database_url=database, secret_key=KEY, credentials_key=KEY
    )
    vault = Vault.from_keys(settings.sealing_keys())
    engine = open_database(settings.database)
    try:
        migrate(engine)
        return Installation(folder, settings, _furnish(engine, vault, stores, recipes))
    finally:
        engine.dispose()


def _furnish(engine: Engine, vault: Vault, stores: int, recipes: bool) -> list[tuple[str, str]]:
    now, endpoints = datetime.now(UTC), []
    with transaction(engine) as session:
        create_account(session, EMAIL, PASSWORD, "Store 0", now)
        for number in range(stores):
            if number:
                session.add(Merchant(name=f"Store {number}", created_at=now))
        session.flush()
        for merchant_id in range(1, stores + 1):
            endpoint = endpoint_of(session, merchant_id, Mode.LIVE, now)
            set_secret(session, vault, endpoint, SECRET, now)
            endpoints.append((f"/hooks/{endpoint.token}", SECRET))
            if recipes:
                _switch_on(session, vault, merchant_id, now)
    return endpoints


def _switch_on(session: Session, vault: Vault, merchant_id: int, now: datetime) -> None:
    connection = Connection(merchant_id=merchant_id, app="mailchimp", name="Mailchimp", created_at=now)
    session.add(connection)
    session.flush()
    place = Place("connection", "credentials", str(connection.id))
    connection.credentials = vault.seal(json.dumps({"api_key": API_KEY}), place)
    recipe = Recipe(
        merchant_id=merchant_id,
        name="subscribe",
        title="Add the buyer",
        event_type=EVENT,
        enabled=True,
        enabled_at=now,
        created_at=now,
    )
    session.add(recipe)
    session.flush()
    fields = {"audience": "a1b2c3", "email": "{{ buyer.email }}", "first_name": "{{ buyer.first_name }}"}
    step = {"app": "mailchimp", "action": "add_subscriber", "connection_id": connection.id, "fields": fields}
    session.add(
        RecipeVersion(recipe_id=recipe.id or 0, version=1, definition={"event": EVENT, "steps": [step]}, created_at=now)
    )


@contextmanager
def service_standing_in(folder: Path) -> Iterator["StandIn"]:
    """A service that answers after 50 ms, while the block runs."""
    port = free_port()
    with running("benchmarks.stand_in", str(port), port=port, folder=folder):
        yield StandIn(port)


@dataclass(frozen=True)
class StandIn:
    """The stand-in's port, and what it has seen."""

    port: int

    def wait_for(self, count: int, seconds: float = 120.0) -> list[tuple[float, str]]:
        """The calls since it was last asked, once there are so many: when, on the monotonic clock, and about whom."""
        calls: list[tuple[float, str]] = []

        def are_there() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/calls", timeout=30) as answer:
                calls.extend((when, whom) for when, whom in json.load(answer))
            return len(calls) >= count

        until(are_there, f"{count} calls", seconds, every=0.25)
        return calls
