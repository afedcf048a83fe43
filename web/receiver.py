"""POST /hooks/<token>: a plain WSGI callable in front of the Flask app.

Verify, store, answer; all else goes on to Flask. Flask's per-request work would cost four fifths of the time here,
and Pocketsflow waits five seconds and sends once.
"""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from recipes.endpoint_cache import EndpointCache, KnownEndpoint, Signer
from recipes.endpoints import EARLIER_SECRET, TOO_LARGE
from recipes.inbox import CannotAccept, Inbox, Receipt
from recipes.models import Origin
from recipes.spool import Delivery

logger = logging.getLogger(__name__)

PREFIX = "/hooks/"
LARGEST_BODY = 256 * 1024

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[str, bytes]


def _answer(status: str, word: str, sentence: str) -> Answer:
    return status, json.dumps({"status": word, "message": sentence}).encode() + b"\n"


_RECEIPTS = {
    Receipt.STORED: _answer("200 OK", "stored", "Stored."),
    Receipt.DUPLICATE: _answer("200 OK", "duplicate", "We have this already."),
    Receipt.SPOOLED: _answer("202 Accepted", "spooled", "On disk; stored in a moment."),
}
_NOT_POST = _answer("405 Method Not Allowed", "refused", "Deliveries are sent with POST.")
_UNKNOWN = _answer("404 Not Found", "refused", "There is no endpoint at this address.")
_TOO_LARGE = _answer("413 Content Too Large", "refused", "A delivery has at most 256 kB.")
_NOT_SIGNED = _answer("401 Unauthorized", "refused", "The signature is missing or wrong.")
_UNAVAILABLE = _answer("503 Service Unavailable", "unavailable", "We cannot store anything just now.")

NO_SECRET = "no signing secret is set here yet"  # noqa: S105 - a reason, not a secret
MISSING_SIGNATURE = "the signature was missing"
WRONG_SIGNATURE = "the signature was wrong"


class Receiver:
    """The WSGI callable. `now` gives the time of receipt."""

    def __init__(
        self,
        app: WSGIApp,
        endpoints: EndpointCache,
        inbox: Inbox,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._app = app
        self._endpoints = endpoints
        self._inbox = inbox
        self._now = now

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if not path.startswith(PREFIX):
            return self._app(environ, start_response)
        status, body = self._receive(path[len(PREFIX) :], environ)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status.startswith("405"):
            headers.append(("Allow", "POST"))
        start_response(status, headers)
        return [body]

    def _receive(self, token: str, environ: dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] != "POST":
            return _NOT_POST
        try:
            endpoint = self._find(token)
            if endpoint is None:
                return _UNKNOWN
            body = _read(environ)
            now = self._now()
            if body is None:
                self._inbox.count(endpoint.id, TOO_LARGE, now)
                return _TOO_LARGE
            signature = environ.get("HTTP_X_POCKETSFLOW_SIGNATURE") or ""
            signer = self._signer(token, endpoint, body, signature, now)
            if signer is None:
                self._inbox.count(endpoint.id, _why_refused(self._endpoints.known(token) or endpoint, signature), now)
                return _NOT_SIGNED
            if signer is Signer.POCKETSFLOW_BEFORE:
                self._inbox.count(endpoint.id, EARLIER_SECRET, now)
            origin = Origin.SAMPLE if signer is Signer.OURSELVES else Origin.WEBHOOK
            return _RECEIPTS[self._inbox.accept(_delivery(endpoint, origin, body, environ, now))]
        except (CannotAccept, SQLAlchemyError) as error:
            logger.critical("a delivery was answered 503 (%s)", type(error).__name__)
            return _UNAVAILABLE

    def _find(self, token: str) -> KnownEndpoint | None:
        try:
            return self._endpoints.find(token)
        except SQLAlchemyError:
            # The database is away: what was known a moment ago still verifies, and the spool takes the delivery.
            known = self._endpoints.known(token)
            if known is None:
                raise
            return known

    def _signer(self, token: str, endpoint: KnownEndpoint, body: bytes, signature: str, now: datetime) -> Signer | None:
        if not signature:
            return None
        signer = endpoint.signer_of(body, signature, now)
        if signer:
            return signer
        try:
            # The secret may have been set a moment ago, by another process.
            current = self._endpoints.find_anew(token)
        except SQLAlchemyError:
            return None
        return current.signer_of(body, signature, now) if current else None


def _why_refused(endpoint: KnownEndpoint, signature: str) -> str:
    if not signature:
        return MISSING_SIGNATURE
    return WRONG_SIGNATURE if endpoint.secret else NO_SECRET


def _read(environ: dict[str, Any]) -> bytes | None:
    """The body; None if it is too large. Never reads past its end: not every server marks that."""
    declared = environ.get("CONTENT_LENGTH") or ""
    ends_by_itself = environ.get("wsgi.input_terminated")
    length = int(declared) if declared.isdigit() else LARGEST_BODY + 1 if ends_by_itself else 0
    if declared and length > LARGEST_BODY:
        return None
    body: bytes = environ["wsgi.input"].read(length)
    return body if len(body) <= LARGEST_BODY else None


def _delivery(endpoint: KnownEndpoint, origin: Origin, body: bytes, environ: dict[str, Any], now: datetime) -> Delivery:
    return Delivery(
        endpoint_id=endpoint.id,
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        body=body,
        event_header=environ.get("HTTP_X_POCKETSFLOW_EVENT"),
        timestamp_header=environ.get("HTTP_X_POCKETSFLOW_TIMESTAMP"),
        received_at=now,
        origin=origin,
    )
