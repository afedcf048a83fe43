"""POST /hooks/<token>: what is verified is stored, everything else is refused and counted."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from recipes.db import reading, transaction
from recipes.endpoint_cache import EndpointCache
from recipes.endpoints import EARLIER_SECRET, sample_secret, set_secret
from recipes.events import event_type
from recipes.inbox import Inbox
from recipes.models import Endpoint, Event, RejectedDelivery
from recipes.pocketsflow.sending import compact
from recipes.pocketsflow.signature import sign
from recipes.settings import Settings
from recipes.spool import Spool
from recipes.vault import Place, Vault
from tests.conftest import NOW, SECRET, TOKEN
from web.receiver import LARGEST_BODY, Receiver

BODY = json.dumps({"order": {"id": "order_1"}, "amount": 64.99, "customer": {"email": "jane@example.com"}}).encode()


# As a server says that it marks the end of a body itself, for one without a length.
ENDS: dict[str, Any] = {"wsgi.input_terminated": True}


class Door:
    """Sends requests to a receiver as a WSGI server does."""

    def __init__(self, receiver: Receiver, inbox: Inbox) -> None:
        self.receiver = receiver
        self.inbox = inbox

    def post(self, body: bytes = BODY, *, token: str = TOKEN, signature: str | None = "", **environ: Any) -> int:
        """The status; signed with the endpoint's secret unless told otherwise."""
        given = sign(SECRET, body) if signature == "" else signature
        headers = {"HTTP_X_POCKETSFLOW_SIGNATURE": given} if given else {}
        return self.request(
            {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": f"/hooks/{token}",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
                "HTTP_X_POCKETSFLOW_EVENT": "order.completed",
                **headers,
                **environ,
            }
        )

    def request(self, environ: dict[str, Any]) -> int:
        """The status of any request."""
        statuses: list[str] = []
        b"".join(self.receiver(environ, lambda status, headers: statuses.append(status)))
        return int(statuses[0][:3])


def _page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("418 I'm a teapot", [])
    return [b""]


@pytest.fixture
def ticks() -> list[float]:
    """The monotonic clock's hand, in a list so that a test can move it."""
    return [100.0]


@pytest.fixture
def door(engine: Engine, vault: Vault, settings: Settings, endpoint: Endpoint, ticks: list[float]) -> Iterator[Door]:
    """The receiver of an installation with one endpoint, in front of a page that answers 418."""
    inbox = Inbox(engine, Spool(settings.spool), wake=lambda: None)
    cache = EndpointCache(engine, vault, monotonic=lambda: ticks[0])
    yield Door(Receiver(_page, cache, inbox, now=lambda: NOW), inbox)
    inbox.close()


def _count(engine: Engine) -> int:
    with reading(engine) as session:
        return len(session.exec(select(Event)).all())


def _reasons(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        return {each.reason: each.count for each in session.exec(select(RejectedDelivery))}


def test_a_signed_delivery_is_stored_once(door: Door, engine: Engine) -> None:
    """A duplicate gets the same 2xx."""
    assert door.post() == 200
    assert door.post() == 200
    assert _count(engine) == 1


def test_wrong_and_missing_signatures_are_refused_and_counted(door: Door, engine: Engine) -> None:
    """401, nothing stored, and the merchant can see that it happened."""
    assert door.post(signature=sign("another", BODY)) == 401
    assert door.post(signature=None) == 401
    assert door.post(body=BODY + b" ", signature=sign(SECRET, BODY)) == 401
    door.inbox.close()
    assert _count(engine) == 0
    assert _reasons(engine) == {"the signature was wrong": 2, "the signature was missing": 1}


def test_other_addresses_methods_and_sizes(door: Door) -> None:
    """404 for an unknown token, 405 for another method, 413 over 256 kB; all else goes on to Flask."""
    assert door.post(token="nobody") == 404
    assert door.request({"REQUEST_METHOD": "GET", "PATH_INFO": f"/hooks/{TOKEN}"}) == 405
    assert door.post(b"x" * (LARGEST_BODY + 1)) == 413
    assert door.post(b"x" * (LARGEST_BODY + 1), CONTENT_LENGTH="", **ENDS) == 413
    assert door.post(b'"' + b"x" * (LARGEST_BODY - 2) + b'"') == 200
    assert door.request({"REQUEST_METHOD": "GET", "PATH_INFO": "/recipes"}) == 418


def test_signed_but_not_json_is_kept(door: Door, engine: Engine) -> None:
    """What Pocketsflow signed is not ours to refuse: it is sent once."""
    assert door.post(b"not json") == 200
    assert _count(engine) == 1


def test_a_secret_set_by_another_process_works_at_once(
    door: Door, engine: Engine, vault: Vault, endpoint: Endpoint, ticks: list[float]
) -> None:
    """And during a rotation the previous one still does, until its time is over."""
    assert door.post() == 200
    with transaction(engine) as session:
        stored = session.get_one(Endpoint, endpoint.id)
        stored.previous_secret = vault.seal(SECRET, Place("endpoint", "previous_secret", TOKEN))
        stored.previous_until = NOW + timedelta(days=1)
        stored.secret = vault.seal("whsec_the_new_one", Place("endpoint", "secret", TOKEN))
    assert door.post(signature=sign("whsec_the_new_one", BODY)) == 200
    assert door.post() == 200
    door.inbox.close()
    assert _reasons(engine) == {EARLIER_SECRET: 1}


def test_an_earlier_secret_ends(
    door: Door, engine: Engine, vault: Vault, endpoint: Endpoint, ticks: list[float]
) -> None:
    """When its time is over."""
    with transaction(engine) as session:
        stored = session.get_one(Endpoint, endpoint.id)
        set_secret(session, vault, stored, "whsec_the_new_one", NOW - timedelta(days=1))
    assert door.post() == 401


def test_a_sample_of_ours_is_known_for_one(door: Door, engine: Engine, vault: Vault, endpoint: Endpoint) -> None:
    """By its signature, so nobody else can make one; and it never stands in for the real delivery of the same order."""
    assert door.post(signature=sign(sample_secret(vault, endpoint), BODY)) == 200
    assert door.post() == 200
    with reading(engine) as session:
        assert list(session.exec(select(Event.origin).order_by(col(Event.id)))) == ["sample", "webhook"]


def test_an_endpoint_without_a_secret_takes_nothing(door: Door, engine: Engine, endpoint: Endpoint) -> None:
    """Not even a delivery signed with an empty secret."""
    with transaction(engine) as session:
        session.get_one(Endpoint, endpoint.id).secret = None
    assert door.post(signature=sign("", BODY)) == 401
    door.inbox.close()
    assert _reasons(engine) == {"no signing secret is set here yet": 1}


def test_with_the_database_away_known_endpoints_go_on(door: Door, engine: Engine, settings: Settings) -> None:
    """The file is gone: what was known a moment ago verifies, and the spool takes the delivery."""
    assert door.post() == 200
    engine.dispose()
    for path in settings.data_dir.glob("pocketwire.db*"):
        path.unlink()
    settings.data_dir.joinpath("pocketwire.db").mkdir()
    assert door.post(BODY.replace(b"order_1", b"order_2")) == 202
    assert len(list(settings.spool.glob("*.jsonl"))) == 1


@pytest.mark.parametrize(
    "event",
    [
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.payment_succeeded",
    ],
)
def test_the_official_examples_fixtures_are_stored_once(door: Door, engine: Engine, event: str) -> None:
    """Its sender signs compact JSON as JavaScript writes it; sent twice, each is one event."""
    known = event_type(event)
    assert known is not None
    body = compact(known.sample())
    assert door.post(body, HTTP_X_POCKETSFLOW_EVENT=event) == 200
    assert door.post(body, HTTP_X_POCKETSFLOW_EVENT=event) == 200
    with reading(engine) as session:
        [stored] = session.exec(select(Event)).all()
    assert (stored.type, stored.standing) == (event, "ready")
