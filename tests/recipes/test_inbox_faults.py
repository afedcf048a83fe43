"""The inbox while the database or the disk is in trouble: answered at once and in order, or not answered 2xx."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from recipes.db import open_database
from recipes.inbox import CannotAccept, Inbox, Receipt
from recipes.models import Endpoint
from recipes.settings import Settings
from recipes.spool import Delivery, Spool
from recipes.storing import bring_in
from recipes.upkeep import empty_spool
from tests.recipes.test_inbox import ORDER, _events, delivery, spool
from tests.recipes.test_spool import files_end_at
from web.wsgi import LOCK_SECONDS

__all__ = ["delivery", "spool"]

Deliver = Callable[..., Delivery]

_HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


class Desk:
    """The receiver's inbox, as `pocketwire serve` has it, on a clock that is moved by hand."""

    def __init__(self, settings: Settings, spool: Spool, make: Deliver) -> None:
        self.now = 0.0
        self.database = open_database(settings.database, wait_seconds=LOCK_SECONDS)
        self.inbox = Inbox(self.database, spool, wake=lambda: None, monotonic=lambda: self.now)
        self.sent: list[str] = []
        self._make = make

    def order(self, number: int) -> Delivery:
        """A sale, told apart by its number."""
        return self._make({**ORDER, "order": {"id": f"order_{number:03d}"}})

    def accept(self, count: int = 1) -> list[Receipt]:
        """So many sales, one after another, each answered within a second."""
        receipts = []
        for _ in range(count):
            began = time.monotonic()
            receipts.append(self.inbox.accept(self.order(len(self.sent))))
            assert time.monotonic() - began < 1
            self.sent.append(f"order_{len(self.sent):03d}")
        return receipts

    def rest_is_over(self) -> None:
        """The database is tried again."""
        self.now += 10


@pytest.fixture
def desk(settings: Settings, engine: Engine, spool: Spool, delivery: Deliver) -> Iterator[Desk]:
    """A desk that works."""
    desk = Desk(settings, spool, delivery)
    yield desk
    desk.inbox.close()
    desk.database.dispose()


def _ids(engine: Engine) -> list[str]:
    return [json.loads(event.body)["order"]["id"] for event in _events(engine)]


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Another process holds the writer's lock."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        holder.communicate()


@pytest.fixture
def path(settings: Settings) -> str:
    """The database's file."""
    return settings.database.removeprefix("sqlite:///")


def test_another_process_holds_the_lock(desk: Desk, engine: Engine, spool: Spool, path: str) -> None:
    """Before, while and after: all come in, in the order in which they were answered."""
    assert desk.accept() == [Receipt.STORED]
    with _locked(path):
        for _ in range(2):
            assert desk.accept(7) == [Receipt.SPOOLED] * 7
            desk.rest_is_over()
            assert empty_spool(desk.database, spool) == 0
    receipts = desk.accept(4)
    assert (receipts[0], receipts[-1]) == (Receipt.SPOOLED, Receipt.STORED)
    assert _ids(engine) == desk.sent


def test_many_threads_while_the_lock_comes_and_goes(desk: Desk, engine: Engine, spool: Spool, path: str) -> None:
    """Both processes bring in the spool at once. What one sender was answered first comes in first, and once."""
    answered: dict[int, list[int]] = {sender: [] for sender in range(8)}

    def send(sender: int, numbers: range) -> None:
        for number in numbers:
            desk.inbox.accept(desk.order(number))
            answered[sender].append(number)

    threads = [threading.Thread(target=send, args=(each, range(each * 50, each * 50 + 12))) for each in range(8)]
    with _locked(path):
        for thread in threads[:4]:
            thread.start()
        for thread in threads[:4]:
            thread.join()
    desk.rest_is_over()
    others = [threading.Thread(target=empty_spool, args=(engine, spool)), *threads[4:]]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    bring_in(engine, spool)
    stored = [int(each.removeprefix("order_")) for each in _ids(engine)]
    assert len(stored) == len(set(stored)) == 8 * 12
    for numbers in answered.values():
        assert [number for number in stored if number in numbers] == numbers


def _refuse(database: Engine, pragma: str) -> None:
    # Of each new connection, as the file's own state would be.
    event.listen(database, "connect", lambda connection, _: connection.execute(f"PRAGMA {pragma}"))
    database.dispose()


@pytest.mark.parametrize(
    ("pragma", "word"),
    [("max_page_count=1", "database or disk is full"), ("query_only=ON", "attempt to write a readonly database")],
)
def test_a_full_or_read_only_database(
    settings: Settings, engine: Engine, spool: Spool, delivery: Deliver, caplog: pytest.LogCaptureFixture,
    pragma: str, word: str,
) -> None:  # fmt: skip
    """The log says which; when it takes deliveries again, they come in."""
    desk = Desk(settings, spool, delivery)
    _refuse(desk.database, pragma)
    # What is full has room in its last pages for a few.
    assert desk.accept(30)[-1] == Receipt.SPOOLED
    assert word in caplog.text
    desk.inbox.close()
    desk.database.dispose()
    assert empty_spool(engine, spool) > 0
    assert _ids(engine) == desk.sent


def test_the_database_is_carried_off(
    settings: Settings, spool: Spool, delivery: Deliver, tmp_path: Path, vault: object, endpoint: Endpoint
) -> None:
    """A file that was moved still takes what SQLite writes; nobody would find it there."""
    home = tmp_path / "disk"
    home.mkdir()
    with sqlite3.connect(settings.database.removeprefix("sqlite:///")) as source:
        with sqlite3.connect(home / "wire.db") as target:
            source.backup(target)
        target.close()
    source.close()
    elsewhere = settings.model_copy(update={"database_url": f"sqlite:///{home / 'wire.db'}"})
    desk = Desk(elsewhere, spool, delivery)
    assert desk.accept(2) == [Receipt.STORED] * 2
    home.rename(tmp_path / "unplugged")
    assert desk.accept(3) == [Receipt.SPOOLED] * 3
    (tmp_path / "unplugged").rename(home)
    desk.rest_is_over()
    desk.accept(3)
    desk.inbox.close()
    assert _ids(desk.database) == desk.sent
    desk.database.dispose()


def test_a_broken_database_file(
    desk: Desk, engine: Engine, spool: Spool, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its pages are overwritten while we serve: loud, and what comes waits until an operator has mended it."""
    assert desk.accept() == [Receipt.STORED]
    desk.database.dispose()
    engine.dispose()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    whole = Path(path).read_bytes()
    with Path(path).open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * (len(whole) - 4_096))
    assert desk.accept(3) == [Receipt.SPOOLED] * 3
    assert "malformed" in caplog.text
    assert "one by one" not in caplog.text
    desk.database.dispose()
    Path(path).write_bytes(whole)
    desk.rest_is_over()
    desk.accept(2)
    assert _ids(engine) == desk.sent


def test_a_disk_that_is_full_for_all(
    desk: Desk, engine: Engine, spool: Spool, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the database nor the spool: no 2xx, a loud log, nothing half-written; and all is well afterwards."""
    assert desk.accept() == [Receipt.STORED]
    with files_end_at(200):
        for number in range(900, 903):
            with pytest.raises(CannotAccept):
                desk.inbox.accept(replace(desk.order(number), body=b"x" * 5_000))
    assert "could not be stored anywhere: 1 answered 503" in caplog.text
    assert list(settings.spool.iterdir()) == []
    desk.rest_is_over()
    assert desk.accept() == [Receipt.STORED]
    assert _ids(engine) == desk.sent


def test_a_delivery_that_no_database_takes_keeps_no_other_out(
    desk: Desk, engine: Engine, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its endpoint is gone. It came together with others, which are not set aside with it."""
    spool.write([desk.order(0), replace(desk.order(1), endpoint_id=999), desk.order(2)])
    desk.sent = ["order_000", "order_001", "order_002"]
    assert desk.accept(1) == [Receipt.STORED]
    assert _ids(engine) == ["order_000", "order_002", "order_003"]
    assert spool.set_aside_count() == 1
    assert "a delivery to endpoint 999 cannot be stored" in caplog.text


def test_a_spool_that_cannot_be_written_while_more_waits_in_it(
    settings: Settings, engine: Engine, delivery: Deliver
) -> None:
    """The database is well: what waits goes first, all of it, then what came."""
    now = 10**19
    spool = Spool(settings.spool, clock=lambda: now)
    desk = Desk(settings, spool, delivery)
    for number in range(8):
        spool.write([desk.order(number)])
    desk.sent = [f"order_{number:03d}" for number in range(8)]
    # Root may write anywhere, but nobody into a file whose name is a folder's.
    (settings.spool / f"{now + 8:020d}-{os.getpid():08d}.part").mkdir()
    assert desk.accept(2) == [Receipt.STORED] * 2
    assert _ids(engine) == desk.sent
    desk.inbox.close()
    desk.database.dispose()
