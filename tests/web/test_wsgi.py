"""What the server serves: the receiver at once, the pages as soon as they are made."""

import threading
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
