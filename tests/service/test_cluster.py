"""Two receivers and three workers on one PostgreSQL, real processes: killed, added to, the database ended under them.

Nothing is lost, nothing doubled.
"""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine
from sqlmodel import select
from werkzeug import Request, Response

from recipes.chaos.server import OwnServer
from recipes.db import UNAVAILABLE, open_database, reading, transaction
from recipes.migrations import migrate
from recipes.models import OPEN_STATES, Endpoint, Event, Merchant, Run, RunState
from recipes.pocketsflow.sending import compact, deliver
from recipes.vault import Place, Vault
from tests.conftest import NOW, SECRET, TOKEN
from tests.integrations.cases import CASES
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Vendor, answer
from tests.postgresql import own_server
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import Service, eventually

pytest.importorskip("procrastinate", reason="PostgreSQL's parts are not installed")
pytestmark = pytest.mark.long

EVENTS = 160
KEY = "a-key-that-all-of-the-machines-have-been-given"
ROUTES = {
    "mailchimp": "PUT /lists/{list_id}/members/{subscriber_hash}",
    "discord": "POST /channels/{channel_id}/messages",
}


def _event(number: int) -> tuple[str, bytes]:
    """Its name and body: a sale, or for every fourth a new customer."""
    if number % 4:
        return "order.completed", compact(order(number, f"buyer{number % 40}@example.com"))
    customer = {"id": f"customer_{number}", "email": f"customer{number}@example.com"}
    return "customer.created", compact({"customer": customer})


class Cluster:
    """The machines, each with a folder of its own, and the one database."""

    def __init__(self, folder: Path, database: OwnServer, bases: Mapping[str, str]) -> None:
        self._folder = folder
        self._bases = bases
        self._environment = {
            "DATABASE_URL": database.url,
            "POCKETWIRE_SECRET_KEY": KEY,
            "POCKETWIRE_CREDENTIALS_KEY": KEY,
            # The quick worker is one of the tests' own modules.
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self._machines: list[Service] = []
        self.accepted: set[int] = set()
        self.refused: list[int] = []
        self._answered = threading.Condition()

    def receivers(self, count: int) -> list[Service]:
        """Machines that receive."""
        machines = [self._machine("recipes.cli", "serve", "--no-engine") for _ in range(count)]
        for machine in machines:
            machine.launch()
        for machine in machines:
            machine.wait()
        return machines

    def worker(self) -> Service:
        """One more that works."""
        machine = self._machine("tests.service.quick_worker")
        machine.launch()
        return machine

    def _machine(self, *command: str) -> Service:
        folder = self._folder / f"machine-{len(self._machines)}"
        folder.mkdir()
        machine = Service(folder, self._bases, command=command, environment=self._environment)
        self._machines.append(machine)
        return machine

    def send(self, number: int, *receivers: Service) -> None:
        """An event, sent once to each of these; kept in `accepted` if one said that it has it."""
        event, body = _event(number)
        for receiver in receivers:
            try:
                url = f"{receiver.url}/hooks/{TOKEN}"
                status, _ = deliver(url, event, SECRET, body, datetime.now(UTC))
            except requests.RequestException:
                continue  # it was killed meanwhile, and has promised nothing
            with self._answered:
                if status in (200, 202):  # 202: it waits in the spool
                    self.accepted.add(number)
                else:
                    self.refused.append(status)
                self._answered.notify_all()

    def wait_for(self, count: int) -> None:
        """Waits until so many sales were accepted."""
        with self._answered:
            assert self._answered.wait_for(lambda: self.refused or len(self.accepted) >= count, 20.0)
            assert self.refused == []

    def spooled(self) -> int:
        """The batches that wait in the machines' spools."""
        return len(list(self._folder.glob("machine-*/data/spool/*.jsonl")))

    def end(self) -> None:
        """Ends whatever is left."""
        for machine in self._machines:
            machine.end()


@pytest.fixture
def vendors(start_vendor: StartVendor) -> Mapping[str, Vendor]:
    """Mailchimp, where a call may be repeated, and Discord, where it may not; both take their time."""
    started = {app: start_vendor(CASES[app].description, CASES[app].prefix) for app in ROUTES}
    bodies = {"mailchimp": {"id": "1", "status": "subscribed"}, "discord": {"id": "1"}}
    for app, vendor in started.items():
        vendor.answers[ROUTES[app]] = _slowly(vendor, bodies[app])
    return started


def _slowly(vendor: Vendor, body: Mapping[str, str]) -> Callable[[Request], Response]:
    def respond(_request: Request) -> Response:
        vendor.pause(0.05)
        return answer(body)

    return respond


@pytest.fixture
def database() -> Iterator[OwnServer]:
    """A PostgreSQL that may be ended."""
    with own_server() as server:
        yield server


@pytest.fixture
def stored(database: OwnServer) -> Iterator[Engine]:
    """Its tables, with a store that adds buyers to Mailchimp and tells of new customers on Discord."""
    engine = open_database(database.url)
    migrate(engine)
    vault = Vault.from_keys([KEY])
    with transaction(engine) as session:
        merchant = Merchant(name="Acme Books", created_at=NOW)
        session.add(merchant)
        session.flush()
        endpoint = Endpoint(
            merchant_id=merchant.id or 0,
            token=TOKEN,
            secret=vault.seal(SECRET, Place("endpoint", "secret", TOKEN)),
            created_at=NOW,
        )
        session.add(endpoint)
    kitchen = Kitchen(engine, vault, endpoint, {})
    audience = {"audience": "a1", "email": "{{ buyer.email }}", "first_name": "{{ order.id }}"}
    kitchen.recipe(
        "order.completed",
        step("mailchimp", "add_subscriber", kitchen.connect("mailchimp", **CASES["mailchimp"].credentials), **audience),
    )
    channel = {"server": "197038439483310086", "channel": "41771983423143937", "text": "{{ buyer.email }}"}
    kitchen.recipe(
        "customer.created",
        step("discord", "post_message", kitchen.connect("discord", **CASES["discord"].credentials), **channel),
    )
    yield engine
    engine.dispose()


@pytest.fixture
def cluster(tmp_path: Path, database: OwnServer, stored: Engine, vendors: Mapping[str, Vendor]) -> Iterator[Cluster]:
    """Not yet started."""
    cluster = Cluster(tmp_path, database, {app: vendor.url for app, vendor in vendors.items()})
    yield cluster
    cluster.end()


def _runs(engine: Engine) -> list[Run]:
    try:
        with reading(engine) as session:
            return list(session.exec(select(Run)))
    except UNAVAILABLE:
        return []


def _kill(machine: Service) -> None:
    assert machine.process is not None
    os.killpg(machine.process.pid, signal.SIGKILL)


def test_nothing_is_lost_and_nothing_doubled(
    cluster: Cluster, database: OwnServer, stored: Engine, vendors: Mapping[str, Vendor]
) -> None:
    """Under load a worker is killed, another added, the database ended and started again, a receiver killed."""
    workers = [cluster.worker() for _ in range(3)]
    receivers = cluster.receivers(2)
    with ThreadPoolExecutor(4) as senders:

        def send(first: int, last: int) -> None:
            # Every fifth comes twice, to both.
            for number in range(first, last):
                to = receivers if number % 5 == 0 else [receivers[number % 2]]
                senders.submit(cluster.send, number, *to)

        send(0, 80)
        cluster.wait_for(40)
        _kill(workers[0])
        cluster.worker()
        cluster.wait_for(80)
        _kill(workers[1])
        database.kill()
        send(80, 120)
        cluster.wait_for(120)
        assert cluster.spooled() > 0
        database.start()
        send(120, EVENTS)
        cluster.wait_for(130)
        _kill(receivers[0])
    receivers[0].end()
    receivers[0].start()

    def ended() -> list[Run] | None:
        runs = _runs(stored)
        open_ones = [run for run in runs if run.state in OPEN_STATES]
        return runs if len(runs) >= len(cluster.accepted) and not open_ones and not cluster.spooled() else None

    runs = eventually(ended, "every run ended", seconds=25.0)
    with reading(stored) as session:
        stored_bodies = [each.body for each in session.exec(select(Event))]
    assert len(stored_bodies) == len(set(stored_bodies)) == len(runs)
    assert {_event(number)[1] for number in cluster.accepted} <= set(stored_bodies)
    added = Counter(_json(call)["merge_fields"]["FNAME"] for call in vendors["mailchimp"].calls)
    posted = Counter(_json(call)["content"] for call in vendors["discord"].calls)
    assert {f"order_{number}" for number in cluster.accepted if number % 4} <= set(added)
    buyers, customers = (Counter(run.state for run in runs if run.recipe_id == recipe) for recipe in (1, 2))
    assert set(buyers) == {RunState.SUCCEEDED}
    assert set(customers) <= {RunState.SUCCEEDED, RunState.UNSURE}
    assert set(posted.values()) == {1}
    assert customers[RunState.SUCCEEDED] <= len(posted) <= customers.total()


def _json(call: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(call.get_data())
    return body
