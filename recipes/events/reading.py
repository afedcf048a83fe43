"""Reads a delivery: what it is called, whether it can run recipes, whom it concerns. Never raises."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from recipes.events import body as bodies
from recipes.events import canonical, event_type
from recipes.events.checks import standing_of
from recipes.models import Standing

UNNAMED = "unknown"
_LONGEST_NAME = 100
_DEEPEST = 64
_OLDEST = timedelta(days=7)
_FIRST_MILLISECONDS = 10**12

# A body with one of these is flat; without them, `{id, type, data}` is a wrapper around the real one.
_FLAT = frozenset(
    {
        "order", "refund", "customer", "product", "review", "payment", "amount",
        "subscription", "subscriptionCustomer", "subscriptionCustomerId",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """What one delivery says.

    type: the canonical name, of at most 100 printable characters; "unknown" if it has none. reason: a sentence for
    any standing but ready. payload: the body without its wrapper; None if it is unreadable. subject: the buyer's
    lower-case e-mail, else the id of what the event is about. occurred_at: aware, never after the receipt.
    """

    type: str
    standing: Standing
    reason: str
    payload: dict[str, Any] | None
    subject: str | None
    occurred_at: datetime


def read(body: bytes, *, event_header: str | None, timestamp_header: str | None, received_at: datetime) -> Reading:
    """The delivery as one reading, whatever its bytes are.

    event_header, timestamp_header: X-Pocketsflow-Event and X-Pocketsflow-Timestamp as they came; neither is signed.
    """
    named = _clean_name(event_header)
    occurred_at = _occurred_at(timestamp_header, received_at)
    document, problem = _parse(body)
    if document is None:
        return Reading(named or UNNAMED, Standing.UNREADABLE, problem, None, None, occurred_at)
    payload, own_names = _unwrap(document)
    name, contradiction = _settle(named, own_names)
    if contradiction:
        standing, reason = Standing.SUSPICIOUS, contradiction
    elif not name:
        standing, reason = Standing.UNKNOWN, "This does not say what kind of event it is. It is kept as it came."
    else:
        standing, reason = standing_of(name, payload)
    return Reading(name or UNNAMED, standing, reason, payload, _subject(payload), occurred_at)


# ── The body ─────────────────────────────────────────────────────────────────────────────────────────────


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number beyond all bounds")
    return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


# Made once: json.loads would make one for each call with these hooks.
_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)


def _parse(body: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        document = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        return None, "The contents are not text in UTF-8. They are kept as they came."
    except (ValueError, RecursionError):
        return None, "The contents are not JSON that can be read. They are kept as they came."
    if not isinstance(document, dict):
        return None, "The contents are JSON, but not an object. They are kept as they came."
    # Brackets are counted first: that is quick, and nearly always enough.
    if body.count(b"{") + body.count(b"[") > _DEEPEST and _is_deeper(document, _DEEPEST):
        return None, "The contents are nested too deeply to be read. They are kept as they came."
    return document, ""


def _is_deeper(document: Any, levels: int) -> bool:
    level: list[Any] = [document]
    for _ in range(levels):
        level = [
            part
            for holder in level
            for part in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(part, dict | list)
        ]
    return bool(level)


def _unwrap(document: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The payload, and what in the document may be the event's name."""
    data = document.get("data")
    if isinstance(data, dict) and _FLAT.isdisjoint(document):
        return data, [document.get("event"), document.get("type"), data.get("event")]
    kind = document.get("type")
    # In a flat body `type` may mean anything; only a known event's name counts.
    is_name = isinstance(kind, str) and event_type(kind) is not None
    return document, [document.get("event"), kind if is_name else None]


# ── The name ─────────────────────────────────────────────────────────────────────────────────────────────


def _clean_name(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if not value.isprintable():
        value = "".join(letter for letter in value if letter.isprintable())
    return canonical(value)[:_LONGEST_NAME].strip() or None


def _settle(header: str | None, own: list[Any]) -> tuple[str | None, str]:
    """The event's name, and a sentence if the names that it is given contradict each other."""
    names = list(_distinct(own))
    if header and not names:
        return header, ""
    # A word without a dot, such as "event", names no event; it counts only where there is nothing better.
    names = [name for name in names if "." in name] or ([] if header else names)
    if len(names) > 1:
        return names[0], f"This calls itself both “{names[0]}” and “{names[1]}”. It is kept, and no recipe ran."
    if not names:
        return header, ""
    if header and header != names[0]:
        return names[0], (
            f"The header calls this “{header}”, the signed contents “{names[0]}”. It is kept, and no recipe ran."
        )
    return names[0], ""


def _distinct(values: list[Any]) -> Iterator[str]:
    names = (_clean_name(value) for value in values if value is not None)
    return iter(dict.fromkeys(name for name in names if name))


# ── Whom and when ────────────────────────────────────────────────────────────────────────────────────────


def _subject(payload: Mapping[str, Any]) -> str | None:
    return (
        bodies.email_of(payload)
        or bodies.subscriber_id_of(payload)
        or bodies.id_of(payload, "customer")
        or bodies.order_id_of(payload)
        or bodies.product_id_of(payload)
        or bodies.payment_id_of(payload)
    )


def _occurred_at(header: str | None, received_at: datetime) -> datetime:
    """The time in the header if it can be true: not after the receipt, and at most 7 days before it."""
    digits = header.strip() if header else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        return received_at
    stamp = int(digits)
    seconds = stamp / 1000 if stamp >= _FIRST_MILLISECONDS else float(stamp)
    age = received_at.timestamp() - seconds
    if not 0 <= age <= _OLDEST.total_seconds():
        return received_at
    return datetime.fromtimestamp(seconds, UTC)
