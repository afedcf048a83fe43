"""A rush of deliveries to a service whose recipes call one connection that is well and several in trouble."""

import contextlib
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import requests
from sqlmodel import select

from recipes.db import open_database, reading
from recipes.models import Endpoint
from recipes.pocketsflow.sending import compact, headers
from recipes.settings import load_settings
from recipes.vault import Vault
from tests.conftest import SECRET
from tests.recipes.engine.kitchen import Kitchen, step
from tests.service.running import Service
from tests.storm.stand_in import StandIn

WELL = f"{1:032x}-us21"
SLACK = "xoxb-1234567890-abcdef"
SENDERS = 8
MEMBER = {"audience": "a1", "email": "{{ buyer.email }}"}


class Storm:
    """The service with its recipes. `troubled`: how many connections of Mailchimp have a bad day; Slack has one, too.

    Every sale goes to the connection that is well, every new buyer to each that is in trouble, every review to Slack.
    """

    def __init__(self, folder: Path, *, troubled: int, busy: int, broken: int) -> None:
        self.stand_in = StandIn(WELL, busy, broken)
        bases = {"mailchimp": self.stand_in.url + "/3.0", "slack": self.stand_in.url + "/api/"}
        self.service = Service(folder, bases)
        self.troubled = [f"{number + 2:032x}-us21" for number in range(troubled)]
        self.answers: Counter[int] = Counter()
        self.waits: list[float] = []
        self.answered_at: dict[str, float] = {}
        self._numbers = count()
        self._set_up()
        self.service.start()
        self._url = self.service.url + "/hooks/" + self._token

    def close(self) -> None:
        """Ends all of it."""
        self.service.end()
        self.stand_in.close()

    def send(self, event: str, number: int, rest: Callable[[], object] = lambda: None) -> None:
        """So many deliveries of an event, each about another buyer, by several senders; `rest` after each."""
        left = iter(range(number))
        lock = threading.Lock()

        def work() -> None:
            with requests.Session() as session:
                while True:
                    with lock:
                        if next(left, None) is None:
                            return
                        mark = next(self._numbers)
                    self._send_one(session, event, mark)
                    rest()

        senders = [threading.Thread(target=work) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def states(self) -> dict[str, Counter[str]]:
        """How many runs are in which state, by the event that they are for."""
        found: dict[str, Counter[str]] = {}
        with contextlib.closing(sqlite3.connect(self.service.folder / "data" / "pocketwire.db")) as database:
            rows = database.execute(
                "SELECT event.type, state, count(*) FROM run JOIN event ON event.id = event_id GROUP BY 1, 2"
            )
            for event, state, number in rows:
                found.setdefault(event, Counter())[state] = number
        return found

    def memory(self) -> dict[str, int]:
        """Resident memory of the service's two sides, in MB."""
        found = {}
        for side, process in self.service.children().items():
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    found[side] = int(line.split()[1]) // 1024
        return found

    def pace(self) -> list[float]:
        """For each sale, the seconds from its answer to the call of the connection that is well; sorted."""
        calls = sorted(call.at for call in self.stand_in.answered(WELL))
        return [max(call - answer, 0) for call, answer in zip(calls, sorted(self.answered_at.values()), strict=False)]

    def _send_one(self, session: requests.Session, event: str, mark: int) -> None:
        body = compact(_payload(event, mark))
        began = time.monotonic()
        answer = session.post(self._url, data=body, headers=headers(event, SECRET, body, datetime.now(UTC)), timeout=10)
        ended = time.monotonic()
        self.answers[answer.status_code] += 1
        self.waits.append(ended - began)
        if event == "order.completed":
            self.answered_at[str(mark)] = ended

    def _set_up(self) -> None:
        self.service.cli("account", "create", "ada@example.com", "--password-stdin", stdin="a long password")
        self.service.cli("endpoint", "set-secret", stdin=SECRET)
        settings = load_settings(_env_file=None, data_dir=self.service.folder / "data")
        database = open_database(settings.database)
        with reading(database) as session:
            endpoint = session.exec(select(Endpoint).where(Endpoint.mode == "live")).one()
        self._token = endpoint.token
        kitchen = Kitchen(database, Vault.from_keys(settings.sealing_keys()), endpoint, {})
        kitchen.recipe(
            "order.completed",
            step("mailchimp", "add_subscriber", kitchen.connect("mailchimp", api_key=WELL), **MEMBER),
        )
        for key in self.troubled:
            connection = kitchen.connect("mailchimp", api_key=key)
            kitchen.recipe("customer.created", step("mailchimp", "add_subscriber", connection, **MEMBER))
        slack = kitchen.connect("slack", bot_token=SLACK)
        kitchen.recipe("review.created", step("slack", "post_message", slack, channel="C0123456789", text="A review"))
        database.dispose()


def _payload(event: str, mark: int) -> dict[str, Any]:
    buyer = {"id": f"cus_{mark}", "email": f"buyer{mark}@example.com", "name": "A Buyer"}
    if event == "order.completed":
        return {"order": {"id": f"order_{mark}"}, "amount": 9.5, "currency": "usd", "customer": buyer}
    if event == "customer.created":
        return {"customer": buyer, **buyer}
    return {"review": {"id": f"review_{mark}", "rating": 5, "review": f"Good, {mark}."}, "customer": buyer}
