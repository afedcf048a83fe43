"""What the chaos works on: data directories, one merchant, four recipes, and a time that passes quickly."""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlmodel import Session

from recipes.db import open_database, transaction
from recipes.migrations import migrate
from recipes.models import Connection, Endpoint, Merchant, Recipe, RecipeVersion, RunsOn
from recipes.vault import Place as SealedPlace
from recipes.vault import Vault

# Five seconds until the next try are 40 ms, and a service's fifty calls a minute are a hundred a second.
SPEED = 120
RECIPES = 4
_ORDER = "{{ order.id }}"
_CREDENTIALS = {
    "slack": {"bot_token": "xoxb-0000000000-chaos"},
    "discord": {"bot_token": "a.b.c"},
    "mailchimp": {"api_key": "0123456789abcdef0123456789abcdef-us21"},
    "ledger": {},
}


@dataclass(frozen=True)
class Place:
    """What all processes have to agree on. `began` is in seconds since 1970.

    postgresql: the address of a database, by itself for this; "" for a file in the data directory.
    """

    folder: str
    services: str
    key: str
    began: float
    postgresql: str = field(default="", repr=False)

    def machine(self, name: str) -> Path:
        """The data directory of one of several."""
        return Path(self.folder) / name

    @property
    def data_dir(self) -> Path:
        """The data directory, where there is one machine."""
        return self.machine("data")

    @property
    def file(self) -> Path:
        """The database, where it is a file."""
        return self.data_dir / "pocketwire.db"

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.postgresql or f"sqlite:///{self.file}"

    @property
    def api_base(self) -> dict[str, str]:
        """The stand-ins' addresses, as the settings take them."""
        return {app: f"{self.services}/{app}/" for app in ("slack", "discord", "mailchimp")}

    def now(self, ahead: float) -> datetime:
        """The time there: SPEED times as quick, and so many seconds further."""
        passed = (time.time() - self.began) * SPEED + ahead
        return datetime.fromtimestamp(self.began, UTC) + timedelta(seconds=passed)

    def text(self) -> str:
        """As one line, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What text() made."""
        return cls(**json.loads(text))


def sign_of_work(data_dir: Path) -> Path:
    """The file that is there once a worker has got on."""
    return data_dir / "engine-works"


def furnish(place: Place) -> None:
    """Makes the tables, with a merchant whose four recipes are on for every sale."""
    (place.data_dir / "spool").mkdir(parents=True)
    database = open_database(place.database)
    try:
        migrate(database)
        with transaction(database) as session:
            _fill(session, Vault.from_keys([place.key]), datetime.fromtimestamp(place.began, UTC))
    finally:
        database.dispose()


def _fill(session: Session, vault: Vault, now: datetime) -> None:
    merchant = Merchant(name="Chaos", created_at=now)
    session.add(merchant)
    session.flush()
    session.add(Endpoint(merchant_id=_number(merchant), token="chaos", created_at=now))  # noqa: S106
    used: dict[str, int] = {}
    for app, credentials in _CREDENTIALS.items():
        connection = Connection(merchant_id=_number(merchant), app=app, name=app, created_at=now)
        session.add(connection)
        session.flush()
        used[app] = _number(connection)
        place = SealedPlace("connection", "credentials", str(connection.id))
        connection.credentials = vault.seal(json.dumps(credentials), place)
    row = {"key": _ORDER, "columns": {"Order": _ORDER}}
    message = _step(used, "slack", "post_message", channel="C1", text=_ORDER)
    who = {"audience": "a1", "email": "{{ buyer.email }}", "first_name": _ORDER}
    for number, steps in enumerate(
        (
            [message, _step(used, "ledger", "put_row", table="Posted", **row)],
            [_step(used, "discord", "post_message", server="1", channel="2", text=_ORDER)],
            [_step(used, "mailchimp", "add_subscriber", **who)],
            [_step(used, "ledger", "put_row", table="Orders", **row)],
        )
    ):
        _recipe(session, _number(merchant), number, steps, now)


def _recipe(session: Session, merchant_id: int, number: int, steps: list[dict[str, Any]], now: datetime) -> None:
    recipe = Recipe(
        merchant_id=merchant_id,
        name=f"chaos/{number}",
        title=f"Chaos {number}",
        event_type="order.completed",
        runs_on=RunsOn.LIVE,
        enabled=True,
        enabled_at=now,
        created_at=now,
    )
    session.add(recipe)
    session.flush()
    definition = {"event": "order.completed", "steps": steps}
    session.add(RecipeVersion(recipe_id=_number(recipe), version=1, definition=definition, created_at=now))


def _step(used: dict[str, int], app: str, action: str, **fields: Any) -> dict[str, Any]:
    return {"app": app, "action": action, "connection_id": used[app], "fields": fields}


def _number(row: Merchant | Connection | Recipe) -> int:
    if row.id is None:
        raise ValueError("a row that was written has a number")
    return row.id
