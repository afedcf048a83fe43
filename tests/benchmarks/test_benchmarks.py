"""The benchmarks measure what they say: each request once, each delivery good, a filled database like a used one."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlmodel import col
from werkzeug.serving import WSGIRequestHandler, make_server

from benchmarks import deliveries, many, rivals
from benchmarks.client import send
from benchmarks.installation import Installation, install, service_standing_in
from benchmarks.processes import processor_time
from benchmarks.stand_in import SECONDS
from benchmarks.table import Row, quantile
from recipes import engine as runs
from recipes.db import open_database, transaction
from recipes.events.reading import read
from recipes.models import Event, Standing
from recipes.pocketsflow.signature import is_signed_by
from recipes.spool import Delivery
from recipes.storing import store


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's word
        pass


@pytest.fixture
def verifying() -> Iterator[int]:
    """The port of the callable that only verifies."""
    server = make_server("127.0.0.1", 0, rivals.verifying(), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def _requests(count: int, secret: str = rivals.SECRET) -> list[bytes]:
    return deliveries.requests([deliveries.body() for _ in range(count)], [(rivals.PATH, secret)])


def test_every_request_is_sent_once_and_its_answer_counted(verifying: int) -> None:
    """Else a figure would be made of answers that never came."""
    answers = send(verifying, [*_requests(30), *_requests(5, "another secret")], at_once=4)
    assert answers.statuses == {b"200": 30, b"401": 5}
    assert answers.accepted == 30
    assert len(answers.seconds) == len(answers.sent_at) == 35


def test_connections_are_kept_where_they_are_to_be(tmp_path: Path) -> None:
    """And the stand-in for a service tells of each call when it came."""
    requests = [request.replace(b"/hooks/rival", b"/lists/%d" % number) for number, request in enumerate(_requests(8))]
    with service_standing_in(tmp_path) as service:
        answers = send(service.port, requests, at_once=2, keep_alive=True)
        calls = service.wait_for(8)
    assert answers.statuses == {b"200": 8}
    assert sorted(whom for _, whom in calls) == [str(number) for number in range(8)]
    assert min(answers.seconds) >= SECONDS


def test_a_rate_is_kept(verifying: int) -> None:
    """As many a second as asked for, and no more."""
    answers = send(verifying, _requests(20), rate=200)
    assert answers.accepted == 20
    assert answers.took >= 19 / 200


def test_deliveries_are_of_distinct_orders_signed_and_of_one_kilobyte() -> None:
    """A duplicate or a body that cannot run would cost less than what is claimed."""
    now = datetime.now(UTC)
    bodies = [deliveries.body() for _ in range(50)]
    readings = [read(body, event_header=deliveries.EVENT, timestamp_header=None, received_at=now) for body in bodies]
    assert {len(body) for body in bodies} == {deliveries.LENGTH}
    assert {reading.standing for reading in readings} == {Standing.READY}
    assert len({reading.subject for reading in readings}) == len({deliveries.buyer(body) for body in bodies}) == 50
    [request] = deliveries.requests(bodies[:1], [("/hooks/x", "secret")])
    signature = request.partition(b"Signature: ")[2].partition(b"\r\n")[0].decode()
    assert is_signed_by("secret", bodies[0], signature)


def test_what_everyone_writes_stores_each_delivery(engine: Engine) -> None:
    """A rival that stored nothing would be no measure."""
    browser = rivals.storing(engine).test_client()
    made = _requests(1)[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in made[0].decode().splitlines()[1:])
    assert browser.post(rivals.PATH, data=made[2], headers=headers).status_code == 200
    headers["X-Pocketsflow-Signature"] = "0" * 64
    assert browser.post(rivals.PATH, data=made[2], headers=headers).status_code == 401
    with transaction(engine) as session:
        assert session.scalars(select(col(Event.body))).all() == [made[2]]


@pytest.fixture
def filled(tmp_path: Path) -> Installation:
    """An installation with past events."""
    installation = install(tmp_path / "filled", stores=3)
    many.fill(installation, 40, stores=3)
    return installation


def test_a_filled_database_is_like_a_used_one(filled: Installation) -> None:
    """Every event with its keys, its run and its attempt; nothing dangles; new events go on after them."""
    with closing(sqlite3.connect(filled.file)) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    counts = [filled.count(f"SELECT count(*) FROM {table}") for table in ("event", "identity_key", "run", "attempt")]  # noqa: S608
    assert counts == [40, 80, 40, 40]
    engine, now = open_database(filled.settings.database), datetime.now(UTC)
    assert store(engine, [Delivery(1, 1, "live", deliveries.body(), deliveries.EVENT, None, now)]) == [True]
    with transaction(engine) as session:
        assert runs.fan_out(session, now=now) == 1
        [claimed] = runs.claim(session, now=now, lease="x", limits=runs.Limits(), limit=5)
    engine.dispose()
    assert claimed.event_id == 41


def test_a_row_is_a_line_of_a_table() -> None:
    """Five columns, whatever is known."""
    assert Row("accepted", "7/s", "10/s", 0.7, "0.5").line() == "| accepted | **7/s** | 10/s | 0.70 | 0.5 |"
    assert Row("start", "1 s").line().count("|") == 6
    assert [quantile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 2.0, 3.0]


def test_processor_time_is_of_a_process_and_its_children() -> None:
    """What a busy machine changes least; it is counted in hundredths of a second."""
    before, begun = processor_time(os.getpid()), time.process_time()
    while time.process_time() - begun < 0.05:
        pass
    assert 0.03 <= processor_time(os.getpid()) - before < 1.0
