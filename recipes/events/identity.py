"""Tells one event from another: the keys under which it has happened already.

An event is a duplicate if any of its keys is claimed and not past its `until`. Windows begin at the receipt of the
event that claimed them and have no fixed edges, as days or hours of the clock would.

`webhookId` is no key. Nobody knows yet whether it names the delivery or the endpoint; if it is the endpoint's, it would
swallow every event after the first. What a delivery's own id would find, an exact repeat, is found by the body within
ten minutes. Not for longer: a renewal's body holds no date, so next month's can be the same, byte for byte.

A delivery that cannot run claims nothing but its body, under its standing: it never stands in for a real one.
"""

import hashlib
from datetime import datetime, timedelta
from types import MappingProxyType

from recipes.events import body as bodies
from recipes.events import refunds
from recipes.events.keys import DAY, MAKERS, TELLING, Identity, Key, Memory, Payload
from recipes.events.reading import Reading
from recipes.models import Standing

SAME_BODY = timedelta(minutes=10)
_HASH_LENGTH = 32
# What else is remembered of these: when they happened, under this name.
_DATED = MappingProxyType(
    {
        "customer.subscription.deleted": "ended_at",
        "order.refunded": "refunded_at",
        "customer.subscription.updated": "moved_at",
        "customer.subscription.pause": "moved_at",
        "customer.subscription.resumed": "moved_at",
        "invoice.payment_succeeded": "billed_at",
        "invoice.paid": "billed_at",
        "invoice.payment_failed": "billed_at",
    }
)
# Of these the latest counts, as it happened: one that comes in after a later one changes nothing that is remembered.
_LATEST = frozenset({"moved_at", "billed_at"})
# What must not run once a subscription has ended: the buyer would be treated as one who has it.
_BEFORE_AN_END = MappingProxyType(
    {
        "customer.subscription.created": "start",
        "customer.subscription.updated": "change",
        "customer.subscription.pause": "pause",
        "customer.subscription.resumed": "resumption",
        "customer.subscription.trial_will_end": "notice of a trial's end",
    }
)


def about(reading: Reading) -> str | None:
    """The name of the memory that `identify` needs for this event; None if it needs none."""
    if reading.standing != Standing.READY or reading.payload is None:
        return None
    if reading.type in ("order.completed", "order.refunded"):
        return f"refunds:{bodies.order_id_of(reading.payload)}"
    if reading.type == "product.updated":
        return f"product:{bodies.product_id_of(reading.payload)}"
    if reading.type.startswith(("customer.subscription.", "invoice.")):
        return f"subscription:{bodies.subscriber_id_of(reading.payload)}"
    return None


def identify(reading: Reading, body: bytes, *, received_at: datetime, memory: Memory | None) -> Identity:
    """The event's keys. body: the raw bytes. memory: what was last remembered under `about`, None if nothing was."""
    if reading.standing != Standing.READY or reading.payload is None:
        return Identity((_same_body(f"{reading.standing}:{reading.type}", body, received_at + SAME_BODY),))
    make = MAKERS.get(reading.type)
    if make is None:
        # A payment's details tell what the order or the renewal tells already: only exact repeats are found, for a day.
        window = DAY if reading.type.startswith("payment_intent.") else SAME_BODY
        return Identity((_same_body(reading.type, body, received_at + window),))
    found = make(reading.payload, received_at, memory)
    # A key less is a third less to write for a sale.
    is_told = reading.type in TELLING and any(not key.noted for key in found.keys)
    repeat = () if is_told else (_same_body(reading.type, body, received_at + SAME_BODY),)
    keys = (*found.keys, *repeat)
    late = _late(reading.type, reading.payload, reading.occurred_at, memory)
    if late or (reading.type != "customer.subscription.deleted" and _has_ended_since(reading.occurred_at, memory)):
        # It tells how things were before the end, so what is remembered of the end stays.
        return Identity(keys, None, late)
    if _is_overtaken(reading, received_at, memory):
        # The next change will have the revision that this one would have made: its keys must be free.
        when = Key(f"{reading.type}:{about(reading)}:{reading.occurred_at.isoformat()}", received_at + DAY)
        return Identity((when, *repeat) if reading.type.startswith("customer.") else keys)
    dated = _DATED.get(reading.type)
    if dated in _LATEST or (dated and found.memory is not None):
        return Identity(keys, {**(found.memory or memory or {}), dated: reading.occurred_at.isoformat()})
    return Identity(keys, found.memory)


def _same_body(kind: str, body: bytes, until: datetime) -> Key:
    return Key(f"same:{kind}:{hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]}", until)


def _late(name: str, payload: Payload, occurred_at: datetime, memory: Memory | None) -> str:
    """Why an event that came after what undoes it must not run, as a sentence; empty for any other."""
    if name in _BEFORE_AN_END and _has_ended_since(occurred_at, memory):
        return f"This {_BEFORE_AN_END[name]} came after the subscription's end. It is kept, and no recipe ran."
    # An order is paid once and before it is refunded: here the order of arrival tells enough.
    if name == "order.completed" and refunds.may_be_whole(memory, payload):
        return "This sale came after its refund. It is kept, and no recipe ran."
    return ""


def _has_ended_since(occurred_at: datetime, memory: Memory | None) -> bool:
    """Whether the subscription ended after this: order of delivery is not promised, and nobody is let back in."""
    ended_at = (memory or {}).get("ended_at")
    return bool((memory or {}).get("ended") and ended_at and occurred_at.isoformat() < ended_at)


def _is_overtaken(reading: Reading, received_at: datetime, memory: Memory | None) -> bool:
    """Whether a later word of the same came in before. One from the future, as of a clock that was wrong, is none."""
    name = _DATED.get(reading.type, "")
    known = (memory or {}).get(name) if name in _LATEST else None
    return known is not None and reading.occurred_at.isoformat() < known <= received_at.isoformat()
