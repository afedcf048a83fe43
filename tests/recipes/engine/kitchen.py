"""An engine whose clock stands still, for tests: each turn is asked for, time is moved by hand."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from sqlalchemy import Engine
from sqlmodel import col, select
from werkzeug.wrappers import Request, Response

from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.db import reading, transaction
from recipes.engine.performing import Clients
from recipes.models import Attempt, Connection, Endpoint, Origin, Recipe, RecipeVersion, Run, RunState
from recipes.rows import MerchantRows
from recipes.spool import Delivery, Spool
from recipes.storing import store
from recipes.vault import Place, Vault
from tests.conftest import NOW
from tests.integrations.vendor import answer

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "slack": {"bot_token": "xoxb-1234567890-abcdef"},
    "mailchimp": {"api_key": "0123456789abcdef0123456789abcdef-us21"},
    "ledger": {},
}


class Kitchen:
    """One merchant's connections, recipes and events, and the engine that works on them."""

    def __init__(
        self,
        engine: Engine,
        vault: Vault,
        endpoint: Endpoint,
        api_base: Mapping[str, str],
        clients: Clients | None = None,
    ) -> None:
        self.engine = engine
        self.endpoint = endpoint
        self.now = NOW
        self.lease = "first-engine"
        self.limits = runs.Limits()
        self.wake: Callable[[], None] = lambda: None
        self._vault = vault
        self._tools = runs.Tools(
            clients=clients or ClientCache(vault, api_base),
            rows=lambda merchant_id, is_test: MerchantRows(engine, merchant_id, lambda: self.now, is_test),
            now=lambda: self.now,
            jitter=lambda: 0.0,
        )

    def later(self, **time: float) -> None:
        """Moves the clock on."""
        self.now += timedelta(**time)

    def connect(self, app: str, **credentials: str) -> int:
        """A connection; if no credentials are given, with some that its form accepts."""
        with reading(self.engine) as session:
            others = len(session.exec(select(Connection).where(Connection.app == app)).all())
        return self.connect_as(app, f"{app} {others + 1}" if others else app, **credentials)

    def connect_as(self, app: str, name: str, **credentials: str) -> int:
        """The same under a name of its own, for a service's second connection."""
        with transaction(self.engine) as session:
            connection = Connection(merchant_id=self.endpoint.merchant_id, app=app, name=name, created_at=self.now)
            session.add(connection)
            session.flush()
            assert connection.id is not None
            place = Place("connection", "credentials", str(connection.id))
            connection.credentials = self._vault.seal(json.dumps(credentials or CREDENTIALS[app]), place)
        return connection.id

    def recipe(self, event: str, *steps: Mapping[str, Any], **more: Any) -> int:
        """A recipe that is on; steps as (app, action, connection_id, fields)."""
        with transaction(self.engine) as session:
            count = len(session.exec(select(Recipe)).all())
            recipe = Recipe(
                merchant_id=self.endpoint.merchant_id,
                name=f"recipe-{count}",
                title="A recipe",
                event_type=event,
                enabled=True,
                enabled_at=self.now,
                created_at=self.now,
            )
            session.add(recipe)
            session.flush()
            assert recipe.id is not None
            definition = {"event": event, "steps": list(steps), **more}
            session.add(RecipeVersion(recipe_id=recipe.id, version=1, definition=definition, created_at=self.now))
        return recipe.id

    def deliver(
        self,
        event: str,
        payload: Mapping[str, Any],
        *,
        occurred_at: datetime | None = None,
        origin: Origin = Origin.WEBHOOK,
    ) -> None:
        """An event that is stored at the present time."""
        assert store(self.engine, [replace(self._delivery(event, payload, occurred_at), origin=origin)]) == [True]
        self.wake()

    def spool(self, spool: Spool, event: str, payload: Mapping[str, Any]) -> None:
        """A delivery that came while the database could not take it."""
        spool.write([self._delivery(event, payload, None)])

    def _delivery(self, event: str, payload: Mapping[str, Any], occurred_at: datetime | None) -> Delivery:
        assert self.endpoint.id is not None
        return Delivery(
            endpoint_id=self.endpoint.id,
            merchant_id=self.endpoint.merchant_id,
            mode=self.endpoint.mode,
            body=json.dumps(payload).encode(),
            event_header=event,
            timestamp_header=None if occurred_at is None else str(round(occurred_at.timestamp() * 1000)),
            received_at=self.now,
        )

    def claim(self, limit: int = 100, **more: Any) -> list[runs.Claimed]:
        """Ends waits, fans out and claims, as a clock does."""
        with transaction(self.engine) as session:
            runs.end_waits(session, now=self.now)
            runs.fan_out(session, now=self.now)
            return runs.claim(session, now=self.now, lease=self.lease, limits=self.limits, limit=limit, **more)

    def perform(self, claimed: runs.Claimed, holds: Callable[[], bool] = lambda: True) -> runs.Performed:
        """Performs a run's step and leaves it at that, as an engine that dies before it settles."""
        return runs.perform(claimed, replace(self._tools, holds=holds))

    def holds(self, claimed: runs.Claimed) -> bool:
        """Whether the run is still whose it was when it was claimed."""
        with reading(self.engine) as session:
            return runs.is_held(session, claimed, self.now)

    def finish(self, claimed: Sequence[runs.Claimed]) -> list[runs.Performed]:
        """Performs what was claimed and settles it."""
        performed = [self.perform(each) for each in claimed]
        self.settle(performed)
        return performed

    def settle(self, performed: Sequence[runs.Performed]) -> None:
        """Notes what came of tries."""
        with transaction(self.engine) as session:
            runs.settle(session, performed, now=self.now)

    def turn(self) -> list[runs.Performed]:
        """One whole turn of the engine."""
        return self.finish(self.claim())

    def work(self) -> None:
        """Turns until nothing is due."""
        while self.turn():
            pass

    def recover(self, **by: Any) -> int:
        """Puts back what a dead engine had."""
        with transaction(self.engine) as session:
            return runs.recover(session, now=self.now, **by)

    def extend(self) -> None:
        """Keeps what is under way."""
        with transaction(self.engine) as session:
            under_way = [run.id for run in self.runs() if run.state == RunState.RUNNING and run.id is not None]
            runs.extend_leases(session, lease=self.lease, runs=under_way, now=self.now)

    def release(self, connection_id: int) -> int:
        """Reconnects; the number of runs that waited."""
        with transaction(self.engine) as session:
            return runs.release(session, connection_id, now=self.now)

    def run_again(self, run_id: int | None, *, all_the_same: bool = False) -> None:
        """The merchant asks for it."""
        with transaction(self.engine) as session:
            runs.run_again(session, self.endpoint.merchant_id, run_id or 0, now=self.now, all_the_same=all_the_same)

    def run_late(self, event_id: int) -> None:
        """The merchant asks for it."""
        with transaction(self.engine) as session:
            runs.run_late(session, self.endpoint.merchant_id, event_id, now=self.now)

    def mark_done(self, run_id: int | None, *, all_the_same: bool = False) -> None:
        """The merchant says so."""
        with transaction(self.engine) as session:
            runs.mark_done(session, self.endpoint.merchant_id, run_id or 0, now=self.now, all_the_same=all_the_same)

    def cancel(self, run_id: int | None) -> None:
        """The merchant asks for it."""
        with transaction(self.engine) as session:
            runs.cancel(session, self.endpoint.merchant_id, run_id or 0, now=self.now)

    def runs(self) -> list[Run]:
        """All runs, in the order they were made."""
        with reading(self.engine) as session:
            return list(session.exec(select(Run).order_by(col(Run.id))))

    def states(self) -> list[str]:
        """The states of all runs."""
        return [run.state for run in self.runs()]

    def attempts(self) -> list[Attempt]:
        """All attempts, in order."""
        with reading(self.engine) as session:
            return list(session.exec(select(Attempt).order_by(col(Attempt.id))))


def step(app: str, action: str, connection_id: int | None, **fields: Any) -> dict[str, Any]:
    """A step as a recipe's definition has it."""
    return {"app": app, "action": action, "connection_id": connection_id, "fields": fields}


def by_our_clock(kitchen: Kitchen, body: Mapping[str, Any]) -> Callable[[Request], Response]:
    """The answer of a service whose clock goes as the kitchen's."""
    return lambda _: answer(body, headers={"Date": format_datetime(kitchen.now, usegmt=True)})


def order(number: int, email: str = "jane@example.com") -> dict[str, Any]:
    """An order.completed body."""
    return {"order": {"id": f"order_{number}"}, "amount": 64.99, "currency": "usd", "customer": {"email": email}}
