"""Sending like Pocketsflow does: the same headers, the same bytes, and each time an event of its own."""

import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from recipes.pocketsflow.sending import compact, deliver, fresh
from recipes.pocketsflow.signature import is_signed_by
from tests.conftest import NOW, SECRET

SALE: dict[str, Any] = {
    "webhookId": "6a43cc887e229e3568f9c9d5",
    "order": {"id": "order_xyz123"},
    "product": {"id": "prod_abc123", "variantId": None},
    "customer": {"email": "zoë@example.com", "firstName": "Zoë"},
    "clientReferenceId": "user-1234567890123456",
    "metadata": {"discord_id": "123456789012345678"},
    "amount": 64.99,
}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's word
        pass


class Endpoint:
    """Keeps the deliveries that come, and answers with `status`."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.status = 200
        self._server = make_server("127.0.0.1", 0, Request.application(self._take), request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/token"
        self._thread = Thread(target=self._server.serve_forever, args=(0.005,))
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, request: Request) -> Response:
        request.get_data()
        self.seen.append(request)
        return Response(json.dumps({"message": "Stored."}), self.status, content_type="application/json")


@pytest.fixture
def receiving() -> Iterator[Endpoint]:
    """Something that takes deliveries."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


def test_a_delivery_is_signed_and_named_as_pocketsflow_does(
    receiving: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    body = compact(SALE)
    assert deliver(receiving.url, "order.completed", SECRET, body, NOW) == (200, "Stored.")
    (request,) = receiving.seen
    assert request.get_data() == body
    assert request.headers["X-Pocketsflow-Event"] == "order.completed"
    assert request.headers["X-Pocketsflow-Timestamp"] == str(int(NOW.timestamp()) * 1000)
    assert is_signed_by(SECRET, body, request.headers["X-Pocketsflow-Signature"])


def test_a_refusal_is_told(receiving: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    receiving.status = 401
    assert deliver(receiving.url, "order.completed", SECRET, b"{}", NOW)[0] == 401


def test_a_body_is_written_as_javascript_writes_it() -> None:
    assert compact({"a": 1, "b": "Zoë / x"}) == '{"a":1,"b":"Zoë / x"}'.encode()


def test_a_fresh_sample_is_another_sale_of_the_same_product_to_another_buyer() -> None:
    sale = fresh("order.completed", SALE, "0a1b2c3d")
    assert sale["order"]["id"] == "order_xyz1230a1b2c3d"
    assert sale["webhookId"] == "6a43cc887e229e350a1b2c3d"
    assert sale["customer"] == {"email": "zoë+0a1b2c3d@example.com", "firstName": "Zoë"}
    for name in ("product", "metadata", "clientReferenceId", "amount"):
        assert sale[name] == SALE[name]


def test_two_fresh_samples_differ() -> None:
    assert fresh("order.completed", SALE)["order"] != fresh("order.completed", SALE)["order"]


def test_ids_that_are_equal_stay_equal() -> None:
    """A subscriber's id stands twice in a body."""
    body = {
        "subscriptionCustomer": {"id": "6a43ce05fae6c4f0cb5a2193"},
        "subscriptionCustomerId": "6a43ce05fae6c4f0cb5a2193",
    }
    made = fresh("customer.subscription.deleted", body)
    assert made["subscriptionCustomer"]["id"] == made["subscriptionCustomerId"] != body["subscriptionCustomerId"]


def test_an_event_about_a_product_is_about_another_one() -> None:
    assert fresh("product.created", SALE, "0a1b2c3d")["product"]["id"] == "prod_abc1230a1b2c3d"
