"""A run that waits as its recipe says, in a service that is killed again and again: done, and once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.service.running import Service, eventually

pytestmark = pytest.mark.long

RECIPE = "order.completed/ledger-row"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Not yet started."""
    service = Service(tmp_path)
    yield service
    service.end()


def _ask(service: Service, statement: str) -> list[Any]:
    with closing(sqlite3.connect(service.folder / "data" / "pocketwire.db")) as database, database:
        return database.execute(statement).fetchall()


def test_its_wait_outlasts_every_kill(service: Service) -> None:
    """Killed while it waits, and again and again as soon as it is due: its row is written, by one try that succeeds."""
    service.start()
    service.cli("account", "create", "ada@example.com", "--password-stdin", stdin="a long password")
    service.cli("recipe", "enable", RECIPE, "--runs-on", "both", "--set", "wait=365 days")
    service.cli("send", "order.completed")
    state = "SELECT state, attempt FROM run"
    eventually(lambda: _ask(service, state) == [("delayed", 0)], "a run that waits")
    [(due_at,)] = _ask(service, "SELECT due_at FROM run")
    service.end()
    service.start()
    assert _ask(service, "SELECT state, attempt, due_at FROM run") == [("delayed", 0, due_at)]
    assert _ask(service, "SELECT * FROM attempt") == _ask(service, "SELECT * FROM ledger_row") == []
    service.end()
    # A year later.
    _ask(service, "UPDATE run SET due_at = received_at FROM event WHERE event.id = run.event_id")
    for _ in range(2):
        service.launch()
        eventually(lambda: _ask(service, state) != [("delayed", 0)] or service.children(), "an engine")
        service.end()
    service.start()
    eventually(lambda: _ask(service, "SELECT state FROM run") == [("succeeded",)], "the end of its run")
    assert _ask(service, "SELECT count(*) FROM ledger_row") == [(1,)]
    assert _ask(service, "SELECT count(*) FROM attempt WHERE result = 'succeeded'") == [(1,)]
