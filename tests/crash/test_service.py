"""The whole service, killed while deliveries come in: web side, engine, and all of it at once with its supervisor."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from recipes.chaos.place import Place, furnish
from recipes.chaos.standin import Fate, StandIn
from recipes.chaos.verdict import Answers, judge
from recipes.chaos.victims import delivery
from recipes.db import open_database
from recipes.pocketsflow.sending import deliver
from tests.conftest import SECRET
from tests.service.running import Service, eventually

pytestmark = pytest.mark.long

BUYERS = 4
# Fewer in all than the fifty messages a minute that a service takes.
ORDERS_EACH = 11
REST = 0.3
VICTIMS = ("engine", "web", "all", "engine", "web")


@pytest.fixture
def services() -> Iterator[StandIn]:
    """Services that are slow and do what they are asked: a retry would take its time, and this is about kills."""
    services = StandIn(1, odds={Fate.DONE: 1})
    yield services
    services.close()


@pytest.fixture
def service(tmp_path: Path, services: StandIn) -> Iterator[Service]:
    """A service with the chaos's recipes, not yet started."""
    place = Place(str(tmp_path), services.url, "k" * 40, time.time())
    furnish(place)
    service = Service(tmp_path, place.api_base)
    service.environment["POCKETWIRE_CREDENTIALS_KEY"] = place.key
    service.cli("endpoint", "set-secret", stdin=SECRET)
    yield service
    service.end()


def test_what_was_answered_is_done_whichever_process_is_killed(service: Service, services: StandIn) -> None:
    """Over HTTP, signed; a delivery without an answer may be there or not. CHAOS_SEED repeats the moments."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    choose = random.Random(seed)
    service.start()
    url = service.cli("endpoint", "show").strip().splitlines()[0]
    answers, stop = Answers(), threading.Event()
    threads = [threading.Thread(target=_buy, args=(url, buyer, answers, stop), daemon=True) for buyer in range(BUYERS)]
    for thread in threads:
        thread.start()
    try:
        for victim in VICTIMS:
            children = eventually(lambda: found if len(found := service.children()) == 2 else None, "two children")
            stop.wait(choose.uniform(0, 1))
            _kill(service, victim, children)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    file = service.folder / "data" / "pocketwire.db"
    eventually(lambda: _has_ended(file), "the end of all runs", 40)
    database = open_database(f"sqlite:///{file}")
    with database.connect() as connection:
        report = judge(connection, answers, services, killed=Counter(VICTIMS), seconds=1)
    database.dispose()
    said = f"CHAOS_SEED={seed}\n{report.text()}"
    assert report.is_good, said
    assert report.answered >= BUYERS, said
    assert report.runs["succeeded"] > report.runs.get("unsure", 0), said


def _buy(url: str, buyer: int, answers: Answers, stop: threading.Event) -> None:
    """Tells of one order after another, each once, as Pocketsflow does."""
    for number in range(1, ORDERS_EACH + 1):
        if stop.wait(REST):
            return
        now = datetime.now(UTC)
        order = f"b{buyer}-{number:06d}"
        try:
            status, _ = deliver(url, "order.completed", SECRET, delivery(order, now, now).body, now)
        except requests.RequestException:
            continue
        if 200 <= status < 300:
            answers.add(order, "stored")


def _kill(service: Service, victim: str, children: dict[str, int]) -> None:
    assert service.process is not None
    if victim != "all":
        os.kill(children[victim], signal.SIGKILL)
        eventually(lambda: children[victim] not in service.children().values(), f"the end of the {victim}")
        return
    service.end()
    service.start()


def _has_ended(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as database:
        open_runs = database.execute("SELECT 1 FROM run WHERE state IN ('queued', 'running', 'waiting', 'held')")
        unseen = database.execute("SELECT 1 FROM event WHERE fanned_out_at IS NULL")
        spooled = next((file.parent / "spool").glob("*.jsonl"), None)
        return not (open_runs.fetchone() or unseen.fetchone() or spooled)
