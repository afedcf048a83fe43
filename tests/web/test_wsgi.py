"""What the server serves: the receiver at once, the pages as soon as they are made."""

import subprocess
import sys
import threading
from select import select
from typing import Any

from sqlalchemy import Engine
from werkzeug.test import Client

from recipes.models import Endpoint
from recipes.pocketsflow.sending import headers
from recipes.settings import Settings
from tests.conftest import NOW, SECRET, TOKEN
from web.wsgi import MOST_PAGES, Pages, make_application

BODY = b'{"order":{"id":"order_1"},"customer":{"email":"jane@example.com"}}'


def test_deliveries_and_pages_come_through_one_door(settings: Settings, engine: Engine, endpoint: Endpoint) -> None:
    """A delivery is stored, a page is Flask's, and a page asked for too early waits instead of failing."""
    client = Client(make_application(settings))
    sent = client.post(f"/hooks/{TOKEN}", data=BODY, headers=headers("order.completed", SECRET, BODY, NOW))
    assert sent.status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/recipes").status_code == 302


_FORKS = """
import multiprocessing, os, signal, sys, time
from web.wsgi import listen_to_parent_alone

def live():
    listen_to_parent_alone()
    print("forked", flush=True)
    time.sleep(60)

signal.signal(signal.SIGTERM, lambda *_: None)
multiprocessing.get_context("fork").Process(target=live).start()
time.sleep(60)
"""


def test_a_web_side_whose_supervisor_is_killed_at_once_ends_as_well() -> None:
    """Until it has handlers of its own it has the supervisor's, which let it live for ever, and hold the port."""
    with subprocess.Popen([sys.executable, "-c", _FORKS], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "forked\n"
        supervisor.kill()
        # Its end is when nobody can write here any more.
        ended, _, _ = select([supervisor.stdout], [], [], 20)
        assert ended
        assert supervisor.stdout.read() == ""


def test_pages_leave_threads_to_deliveries() -> None:
    """As many slow pages as may be: the next one is sent away, at once."""
    pages = Pages()
    entered, may_end = threading.Semaphore(0), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.release()
        assert may_end.wait(10)
        start_response("200 OK", [])
        return []

    pages.serve(slow)
    statuses: list[str] = []
    threads = [
        threading.Thread(target=pages, args=({}, lambda status, headers: statuses.append(status)))
        for _ in range(MOST_PAGES)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=10)
    pages({}, lambda status, headers: statuses.append(status))
    assert statuses == ["503 Service Unavailable"]
    may_end.set()
    for thread in threads:
        thread.join()
    assert statuses.count("200 OK") == MOST_PAGES
