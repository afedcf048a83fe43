"""The keys of each event: names for what happened, from what its body says and what is remembered.

Each is a pure function of the payload, the time of receipt and the memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from recipes.events import body as bodies
from recipes.events import refunds, subscription_state

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)

Payload = Mapping[str, Any]
Memory = Mapping[str, Any]

# The keys of these come from the body alone and hold for an hour at least: an exact repeat has the same.
TELLING = frozenset(
    {
        "order.completed",
        "customer.created",
        "review.created",
        "customer.subscription.created",
        "customer.subscription.trial_will_end",
        "invoice.payment_succeeded",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.created",
        "invoice.upcoming",
        "product.created",
        "product.deleted",
    }
)


@dataclass(frozen=True, slots=True)
class Key:
    """A name for what happened. until: when it may happen anew; None for never.

    noted: claimed so that reconciling finds the event by it, but no ground to call a delivery a duplicate.
    """

    text: str
    until: datetime | None = None
    noted: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """An event's keys, and what to remember under `about` if it is new; None leaves the memory as it is.

    late: why the event must not run, though it is new; a sentence.
    """

    keys: tuple[Key, ...]
    memory: dict[str, Any] | None = None
    late: str = ""


def order_completed(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the order."""
    return Identity((Key(f"order.completed:{bodies.order_id_of(payload)}"),))


def order_refunded(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the refund's position among the order's, and by its own id if it has one."""
    order, refund = bodies.order_id_of(payload), bodies.id_of(payload, "refund")
    after = refunds.added(memory, payload)
    keys = [Key(f"order.refunded:{order}:{after['count']}")]
    if refund:
        keys.append(Key(f"order.refunded:{order}:id:{refund}"))
    return Identity(tuple(keys), after)


def customer_created(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the e-mail, which every version of the event has, and by the customer's id."""
    email, customer = bodies.email_of(payload), bodies.id_of(payload, "customer")
    keys = [Key(f"customer.created:email:{email}")] if email else []
    if customer:
        keys.append(Key(f"customer.created:id:{customer}"))
    return Identity(tuple(keys))


def review_created(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the review's id. By product and buyer only where it has none; else that is noted, as the API may call the
    review by another id than its delivery did.

    Deliveries are sure of their ids: a buyer's second review of one product is another.
    """
    review, product, email = bodies.review_id_of(payload), bodies.product_id_of(payload), bodies.email_of(payload)
    keys = [Key(f"review.created:id:{review}")] if review else []
    if product and email:
        keys.append(Key(f"review.created:{product}:{email}", noted=review is not None))
    return Identity(tuple(keys))


def subscription_created(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the subscription; for an hour also by offer and buyer, should the API's list call it by another id.

    Deliveries are sure of their ids: who ends a subscription and starts another within the hour is let in again.
    """
    offer, email = bodies.id_of(payload, "subscription"), bodies.email_of(payload)
    keys = [Key(f"sub.created:{bodies.subscriber_id_of(payload)}")]
    if offer and email:
        keys.append(Key(f"sub.created:{offer}:{email}", received_at + HOUR, noted=True))
    return Identity(tuple(keys), subscription_state.started(memory, payload))


def subscription_updated(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the state's revision. Without a change of state, as for a new card, by nothing but the body."""
    after = subscription_state.moved(memory, payload)
    if after is None:
        return Identity((), subscription_state.revived(memory, payload))
    return Identity((_state_key(payload, received_at, after),), after)


def subscription_paused(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the state's revision, once for each."""
    return _paused_or_resumed("pause", payload, received_at, memory)


def subscription_resumed(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the state's revision, once for each."""
    return _paused_or_resumed("resumed", payload, received_at, memory)


def _paused_or_resumed(word: str, payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    after = subscription_state.moved(memory, payload, paused=word == "pause")
    revision = (after or memory or {}).get("revision", 0)
    # The event's own key is apart from the state's: a pause whose `updated` came first still runs. It ends after a
    # day, because if the resumption between two pauses was lost, the second shows no change and is real all the same.
    own = Key(f"sub.{word}:{bodies.subscriber_id_of(payload)}:{revision}", received_at + DAY)
    if after is None:
        return Identity((own,), subscription_state.revived(memory, payload))
    return Identity((_state_key(payload, received_at, after), own), after)


def _state_key(payload: Payload, received_at: datetime, after: Memory) -> Key:
    # New with every change; of two processes that see the same change at once it lets only one through.
    return Key(f"sub.state:{bodies.subscriber_id_of(payload)}:{after['revision']}", received_at + DAY)


def subscription_deleted(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the subscription and its generation, which grows if it came back to life after an end."""
    generation = (memory or {}).get("generation", 0)
    key = Key(f"sub.deleted:{bodies.subscriber_id_of(payload)}:{generation}")
    return Identity((key,), subscription_state.ended(memory, payload))


def trial_will_end(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the subscription."""
    key = Key(f"sub.trial_will_end:{bodies.subscriber_id_of(payload)}")
    return Identity((key,), subscription_state.revived(memory, payload))


def renewal_paid(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the payment, and for a day by the subscription: two events tell of one renewal."""
    payment = bodies.payment_id_of(payload)
    keys = [Key(f"renewal.paid:{bodies.subscriber_id_of(payload)}", received_at + DAY)]
    if payment:
        keys.append(Key(f"renewal.paid:payment:{payment}"))
    return Identity(tuple(keys), subscription_state.billed(memory, payload, unpaid=False))


def renewal_failed(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """For an hour, by the payment and by the subscription. Later tries of the same payment are events of their own."""
    payment, until = bodies.payment_id_of(payload), received_at + HOUR
    keys = [Key(f"renewal.failed:{bodies.subscriber_id_of(payload)}", until)]
    if payment:
        keys.append(Key(f"renewal.failed:payment:{payment}", until))
    return Identity(tuple(keys), subscription_state.billed(memory, payload, unpaid=True))


def invoice_created(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """For a day, by the subscription."""
    key = Key(f"invoice.created:{bodies.subscriber_id_of(payload)}", received_at + DAY)
    return Identity((key,))


def invoice_upcoming(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """For a day, by the subscription."""
    key = Key(f"invoice.upcoming:{bodies.subscriber_id_of(payload)}", received_at + DAY)
    return Identity((key,))


def product_created(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the product."""
    return Identity((Key(f"product.created:{bodies.product_id_of(payload)}"),))


def product_updated(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the product and its contents, counting anew when they go back to what they once were.

    For a day: what changes may be a file, of which the contents tell nothing.
    """
    contents = bodies.product_digest_of(payload)
    before = memory or {}
    revision = int(before.get("revision", 0)) + (contents != before.get("contents"))
    key = Key(f"product.updated:{bodies.product_id_of(payload)}:{revision}:{contents}", received_at + DAY)
    return Identity((key,), {"contents": contents, "revision": revision})


def product_deleted(payload: Payload, received_at: datetime, memory: Memory | None) -> Identity:
    """By the product."""
    return Identity((Key(f"product.deleted:{bodies.product_id_of(payload)}"),))


MAKERS: Mapping[str, Callable[[Payload, datetime, Memory | None], Identity]] = MappingProxyType(
    {
        "order.completed": order_completed,
        "order.refunded": order_refunded,
        "customer.created": customer_created,
        "review.created": review_created,
        "customer.subscription.created": subscription_created,
        "customer.subscription.updated": subscription_updated,
        "customer.subscription.pause": subscription_paused,
        "customer.subscription.resumed": subscription_resumed,
        "customer.subscription.trial_will_end": trial_will_end,
        "customer.subscription.deleted": subscription_deleted,
        "invoice.payment_succeeded": renewal_paid,
        "invoice.paid": renewal_paid,
        "invoice.payment_failed": renewal_failed,
        "invoice.created": invoice_created,
        "invoice.upcoming": invoice_upcoming,
        "product.created": product_created,
        "product.updated": product_updated,
        "product.deleted": product_deleted,
    }
)
