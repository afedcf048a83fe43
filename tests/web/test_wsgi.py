"""What the server serves: the receiver at once, the pages as soon as they are made."""

from sqlalchemy import Engine
from werkzeug.test import Client

from recipes.models import Endpoint
from recipes.pocketsflow.sending import headers
from recipes.settings import Settings
from tests.conftest import NOW, SECRET, TOKEN
from web.wsgi import make_application

BODY = b'{"order":{"id":"order_1"},"customer":{"email":"jane@example.com"}}'


def test_deliveries_and_pages_come_through_one_door(settings: Settings, engine: Engine, endpoint: Endpoint) -> None:
    """A delivery is stored, a page is Flask's, and a page asked for too early waits instead of failing."""
    client = Client(make_application(settings))
    sent = client.post(f"/hooks/{TOKEN}", data=BODY, headers=headers("order.completed", SECRET, BODY, NOW))
    assert sent.status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/recipes").status_code == 302
