"""Sends a delivery the way Pocketsflow does: to try an installation out."""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import requests

from recipes.pocketsflow.signature import EVENT_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

SECONDS = 10.0
_TOKEN_BYTES = 4
# What a recipe may choose by: a fresh sale is still a sale of the same product or offer.
_KEPT = {("product", "id"), ("product", "variantId"), ("subscription", "id")}
# The merchant's own: no event is told from another by them.
_OWN = ("metadata", "clientReferenceId")


def fresh(event: str, sample: Mapping[str, Any], token: str | None = None) -> dict[str, Any]:
    """A sample with ids and a buyer of its own, so that it is no duplicate of the one sent before.

    token: what tells this one apart; random if not given. Products and offers stay the same, but for events that are
    about a product.
    """
    mark = token or secrets.token_hex(_TOKEN_BYTES)
    kept = set() if event.startswith("product.") else _KEPT
    return {name: _fresh((name,), value, mark, kept) for name, value in sample.items()}


def _fresh(path: tuple[str, ...], value: Any, mark: str, kept: set[tuple[str, str]]) -> Any:
    if path[-1] in _OWN:
        return value
    if isinstance(value, Mapping):
        return {name: _fresh((*path, name), part, mark, kept) for name, part in value.items()}
    name = path[-1]
    if not isinstance(value, str) or path[-2:] in kept:
        return value
    if name == "email" or name.endswith("Email"):
        person, _, host = value.partition("@")
        return f"{person}+{mark}@{host}"
    if name in ("id", "_id") or name.endswith("Id"):
        # The end changes: beginnings such as order_ say what kind of id it is. Equal ids stay equal.
        return value[: -len(mark)] + mark if len(value) > 2 * len(mark) else f"{value}{mark}"
    return value


def compact(payload: Mapping[str, Any]) -> bytes:
    """A payload as JavaScript writes it: no blanks, and characters beyond ASCII as they are."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def headers(event: str, secret: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that go with a body; the time is in milliseconds since 1970."""
    return {
        "Content-Type": "application/json",
        EVENT_HEADER: event,
        SIGNATURE_HEADER: sign(secret, body),
        TIMESTAMP_HEADER: str(round(now.timestamp() * 1000)),
    }


def deliver(url: str, event: str, secret: str, body: bytes, now: datetime) -> tuple[int, str]:
    """Posts a signed body once; the answer's status and the sentence in it, "" if there is none.

    Raises requests.RequestException if nothing answers within 10 s.
    """
    answer = requests.post(
        url, data=body, headers=headers(event, secret, body, now), timeout=SECONDS, allow_redirects=False
    )
    try:
        said = answer.json()
    except ValueError:
        said = None
    return answer.status_code, str(said.get("message", "")) if isinstance(said, dict) else ""
