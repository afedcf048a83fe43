"""What is remembered of a subscription, so that a change of its state is told from a repeat.

A memory is a small JSON object: the last known `status`, `paused`, `cancels` and `offer`; `revision`, which grows with
every change of those; `ended`, and `generation`, which grows when an ended subscription is seen alive again; `unpaid`,
whether the last payment failed.
"""

from collections.abc import Mapping
from typing import Any

from recipes.events import body

Memory = Mapping[str, Any]


def started(memory: Memory | None, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """The memory after a start. One that came after later events changes nothing but a generation."""
    return moved(memory, payload) if "revision" not in (memory or {}) else revived(memory, payload)


def moved(memory: Memory | None, payload: Mapping[str, Any], paused: bool | None = None) -> dict[str, Any] | None:
    """The memory after a change of state; None if there is no change. paused: what the event's name says of it."""
    said = _said(payload)
    if paused is not None:
        said["paused"] = paused
    before = memory or {}
    if memory is not None and all(before.get(name) == value for name, value in said.items()):
        return None
    after = {"generation": 0, "ended": False, **before, **said, "revision": before.get("revision", 0) + 1}
    if "unpaid" in before and said.get("status") == "active" != before.get("status"):
        after["unpaid"] = False  # the word that it was paid may have been lost
    return revived(after, payload) or after


def billed(memory: Memory | None, payload: Mapping[str, Any], *, unpaid: bool) -> dict[str, Any]:
    """The memory after a payment that was made, or failed. A failed one is no sign of life: an end may come of it."""
    return {**((None if unpaid else revived(memory, payload)) or memory or {}), "unpaid": unpaid}


def ended(memory: Memory | None, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The memory after an end."""
    after = moved(memory, payload) or {**(memory or {})}
    # As `moved` may have taken the subscription for alive, by a status that lags behind.
    return {**after, "generation": (memory or {}).get("generation", 0), "ended": True}


def revived(memory: Memory | None, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """The memory after signs of life of a subscription that had ended; None if there is nothing to change.

    For any event that needs a subscription that goes on: the one that told of the new start may have been lost. An
    invoice that is coming, made or not paid is none, as those go with an end for want of payment.
    """
    if memory is None or not memory.get("ended") or not body.is_live(payload):
        return None
    return {**memory, "ended": False, "generation": memory.get("generation", 0) + 1}


def _said(payload: Mapping[str, Any]) -> dict[str, Any]:
    subscriber = body.group(payload, "subscriptionCustomer")
    found = {
        "status": body.subscription_status_of(payload),
        "paused": body.flag(subscriber.get("paused")),
        "cancels": body.flag(subscriber.get("cancelAtPeriodEnd")),
        "offer": body.id_of(payload, "subscription"),
    }
    # What a body leaves out is not a change.
    return {name: value for name, value in found.items() if value is not None}
