"""Signed deliveries, made before they are sent: distinct orders of distinct buyers, each of 1 kB."""

import hashlib
import itertools
import json
import os
from collections.abc import Sequence

from recipes.events import EVENT_TYPES
from recipes.pocketsflow.signature import sign

EVENT = "order.completed"
LENGTH = 1024
_SAMPLE = next(each for each in EVENT_TYPES if each.name == EVENT).sample()
_numbers = itertools.count()
_OURS = os.urandom(4).hex()


def body(number: int | None = None) -> bytes:
    """An order that no other body is about: by its number, else by the next one of this process."""
    mark = f"{_OURS}{next(_numbers) if number is None else number:08d}"
    # As a store's ids look that are given at random.
    order = {**_SAMPLE, "order": {"id": f"order_{hashlib.md5(mark.encode(), usedforsecurity=False).hexdigest()[:24]}"}}
    order["customer"] = {"email": f"buyer-{mark}@example.com", "firstName": "Jane", "lastName": "Doe"}
    length = len(json.dumps(order))
    order["metadata"] = {"customField": "x" * max(0, LENGTH - length + len('"value"') - 2)}
    return json.dumps(order).encode()


def buyer(made: bytes) -> str:
    """Whom a body is about, as Mailchimp's addresses have it: a hash of the e-mail address."""
    email: str = json.loads(made)["customer"]["email"]
    return hashlib.md5(email.encode(), usedforsecurity=False).hexdigest()


def requests(bodies: Sequence[bytes], endpoints: Sequence[tuple[str, str]], *, keep_alive: bool = False) -> list[bytes]:
    """The bodies as signed HTTP requests. endpoints: path and secret, one after the other in turn."""
    return [_request(each, *endpoints[number % len(endpoints)], keep_alive) for number, each in enumerate(bodies)]


def _request(made: bytes, path: str, secret: str, keep_alive: bool) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\nX-Pocketsflow-Event: {EVENT}\r\n"
        f"X-Pocketsflow-Signature: {sign(secret, made)}\r\nContent-Length: {len(made)}\r\n\r\n"
    ).encode() + made
