"""Whether what an event told has been undone since: asked before its recipes run again.

Of a sale and of a subscription, what is remembered tells how things are now (see `identity`); that goes by the order's
or the subscription's own id, and holds whatever the order in which deliveries came. A buyer who came back did so with
another order or another subscription: those are found by the buyer, see `RETURNS`. A pause and a payment that failed
undo nothing, as the buyer may keep access; a resumption and a payment undo those.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from recipes.events import body, refunds

Payload = Mapping[str, Any]
Memory = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Later:
    """A later event of the same buyer, of the type that RETURNS names. memory: what is remembered of it now."""

    payload: Payload
    occurred_at: datetime
    memory: Memory | None


_GIVES = "Running this again may give access back, and write over what a row of a table says by now."
_TAKES = "Running this again may take access away, and write over what a row of a table says by now."


@dataclass(frozen=True, slots=True)
class Undone:
    """What happened since, as a sentence without its end, so that "on 3 July" can follow; and what to beware of.

    at: when it happened; None where that is not remembered.
    """

    happened: str
    beware: str
    at: datetime | None = None

    @property
    def took(self) -> bool:
        """Whether it took from the buyer what the event gave."""
        return self.beware == _GIVES


# By these a right of the buyer's ends or rests. What takes at any other event, such as a tag at a sale, is meant to,
# whatever else the buyer has.
ENDINGS = frozenset(
    {
        "order.refunded",
        "customer.subscription.deleted",
        "customer.subscription.pause",
        "customer.subscription.updated",
        "invoice.payment_failed",
    }
)

# After these a buyer may have come back, and this event tells of it.
RETURNS: Mapping[str, str] = MappingProxyType(
    {"order.refunded": "order.completed", "customer.subscription.deleted": "customer.subscription.created"}
)


def undone(name: str, payload: Payload, memory: Memory | None, later: Iterable[Later]) -> Undone | None:
    """What has undone the event since; None if it stands, or nothing can undo it.

    name: the event's type. memory: what is remembered under the event's `about` now. later: what RETURNS names, the
    latest first; looked at only if needed.
    """
    rule = _RULES.get(name)
    return rule(payload, memory or {}, later) if rule else None


def is_over(holder: str, memory: Memory | None, paid: Decimal | None) -> bool:
    """Whether the order or the subscription gives the buyer nothing any more: refunded as a whole, or ended.

    holder: its name, as `identity.about` makes it. memory: what is remembered of it now. paid: what was paid for the
    order at the least.
    """
    if holder.startswith("refunds:"):
        return refunds.may_come_to(memory, paid)
    known = memory or {}
    return bool(known.get("ended")) or known.get("status") in body.ENDED


def _sale(payload: Payload, memory: Memory, later: Iterable[Later]) -> Undone | None:
    if not refunds.may_be_whole(memory, payload):
        return None
    return Undone("This order was refunded", _GIVES, _time(memory.get("refunded_at")))


def _refund(payload: Payload, memory: Memory, later: Iterable[Later]) -> Undone | None:
    order = body.order_id_of(payload)
    for sale in later:
        is_another = body.order_id_of(sale.payload) != order and _may_be_same(body.product_id_of, payload, sale.payload)
        if is_another and not refunds.may_be_whole(sale.memory, sale.payload):
            return Undone("This buyer bought again", _TAKES, sale.occurred_at)
    return None


def _going_on(payload: Payload, memory: Memory, later: Iterable[Later]) -> Undone | None:
    if not memory.get("ended"):
        return None
    return Undone("This subscription ended", _GIVES, _time(memory.get("ended_at")))


def _end(payload: Payload, memory: Memory, later: Iterable[Later]) -> Undone | None:
    if memory and not memory.get("ended"):
        return Undone("This subscription goes on again", _TAKES)
    for start in later:
        if _may_be_same(_offer_of, payload, start.payload) and not (start.memory or {}).get("ended"):
            return Undone("This buyer subscribed again", _TAKES, start.occurred_at)
    return None


def _pause(payload: Payload, memory: Memory, later: Iterable[Later]) -> Undone | None:
    if memory.get("ended") or memory.get("paused") is not False:
        return None
    return Undone("This subscription goes on again", _TAKES, _time(memory.get("moved_at")))


def _failed_payment(payload: Payload, memory: Memory, later: Iterable[Later]) -> Undone | None:
    if memory.get("ended") or memory.get("unpaid") is not False:
        return None
    return Undone("This subscription was paid", _TAKES, _time(memory.get("billed_at")))


def _offer_of(payload: Payload) -> str | None:
    return body.id_of(payload, "subscription")


def _may_be_same(find: Callable[[Payload], str | None], one: Payload, other: Payload) -> bool:
    """Whether two events are about the same product or offer, as far as they tell: refunds need not name theirs."""
    first, second = find(one), find(other)
    return first is None or second is None or first == second


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


_RULES: Mapping[str, Callable[[Payload, Memory, Iterable[Later]], Undone | None]] = MappingProxyType(
    {
        "order.completed": _sale,
        "order.refunded": _refund,
        "customer.subscription.created": _going_on,
        "customer.subscription.updated": _going_on,
        "customer.subscription.resumed": _going_on,
        "invoice.payment_succeeded": _going_on,
        "invoice.paid": _going_on,
        "customer.subscription.deleted": _end,
        "customer.subscription.pause": _pause,
        "invoice.payment_failed": _failed_payment,
    }
)
