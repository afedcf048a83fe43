"""Finds things in a payload, whatever of the documented shapes it has. Nothing here raises on odd values."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LONGEST_ID = 200
_LONGEST_EMAIL = 320

ENDED = frozenset({"canceled", "expired", "ended", "incomplete_expired"})
_LIVE = frozenset({"active", "trialing"})
_PRODUCT_DETAILS = ("name", "price", "currency", "type", "published", "slug")
_SPELLINGS = {"cancelled": "canceled", "trialling": "trialing", "pause": "paused"}


def group(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under `name`; empty if there is none."""
    found = payload.get(name)
    return found if isinstance(found, dict) else _NOTHING


def text(value: Any) -> str | None:
    """A text without blanks around it; None for anything else and for an empty one."""
    return (value.strip() or None) if isinstance(value, str) else None


def usable_id(value: Any) -> str | None:
    """An id as text. One that is empty, very long or has characters that no id has counts as missing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**_LONGEST_ID else ""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if value and len(value) <= _LONGEST_ID and value.isprintable() else None


def id_of(payload: Mapping[str, Any], name: str, flat: str = "") -> str | None:
    """The id of the object under `name` (`id` or `_id`), or `name` itself if it is text, else the top-level `flat`."""
    holder = payload.get(name)
    if isinstance(holder, dict):
        found = usable_id(holder.get("id")) or usable_id(holder.get("_id"))
    else:
        found = usable_id(holder)
    return found or (usable_id(payload.get(flat)) if flat else None)


def email_of(payload: Mapping[str, Any]) -> str | None:
    """The buyer's e-mail in lower case, so that one buyer is always the same text."""
    customer = group(payload, "customer")
    for value in (
        customer.get("email"),
        customer.get("buyerEmail"),
        group(payload, "subscriptionCustomer").get("buyerEmail"),
        group(payload, "review").get("buyerEmail"),
        payload.get("buyerEmail"),
    ):
        if isinstance(value, str):
            email = value.strip().lower()
            if "@" in email and len(email) <= _LONGEST_EMAIL and email.isprintable():
                return email
    return None


def order_id_of(payload: Mapping[str, Any]) -> str | None:
    """The order's id."""
    return id_of(payload, "order", "orderId")


def product_id_of(payload: Mapping[str, Any]) -> str | None:
    """The product's id."""
    return id_of(payload, "product", "productId")


def subscriber_id_of(payload: Mapping[str, Any]) -> str | None:
    """The id of the buyer's subscription. Not `subscription`, which is the offer or a payment provider's id."""
    return usable_id(payload.get("subscriptionCustomerId")) or id_of(payload, "subscriptionCustomer")


def payment_id_of(payload: Mapping[str, Any]) -> str | None:
    """The payment's id; no published sample of an invoice has one."""
    return id_of(payload, "payment", "paymentId")


def review_id_of(payload: Mapping[str, Any]) -> str | None:
    """The review's id. A `review` that is text is what the buyer wrote."""
    return id_of(payload, "review") if group(payload, "review") else None


def review_text_of(payload: Mapping[str, Any]) -> str | None:
    """What the buyer wrote, from `{review: {review}}` or `{review}`."""
    review = group(payload, "review")
    return text(review.get("review")) or text(review.get("text")) or text(payload.get("review"))


def review_rating_of(payload: Mapping[str, Any]) -> Any:
    """The stars as they came, from `{review: {rating}}` or `{rating}`."""
    rating = group(payload, "review").get("rating")
    return payload.get("rating") if rating is None else rating


def product_digest_of(payload: Mapping[str, Any]) -> str:
    """A short hash of those details of a product that the event and the API both tell."""
    product = group(payload, "product")
    told = json.dumps([product.get(name) for name in _PRODUCT_DETAILS], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def status(value: Any) -> str | None:
    """A status in one spelling: lower case, `canceled` with one l, `past_due` with an underscore."""
    word = text(value)
    if word is None:
        return None
    word = word.lower().replace("-", "_").replace(" ", "_")
    return _SPELLINGS.get(word, word)


def subscription_status_of(payload: Mapping[str, Any]) -> str | None:
    """The status of the buyer's subscription."""
    return status(group(payload, "subscriptionCustomer").get("status")) or status(payload.get("status"))


def flag(value: Any) -> bool | None:
    """Yes or no; None for anything that is neither."""
    return value if isinstance(value, bool) else None


def has_ended(payload: Mapping[str, Any]) -> bool:
    """Whether the payload says that the subscription is over."""
    if group(payload, "subscriptionCustomer").get("active") is False:
        return True
    return subscription_status_of(payload) in ENDED


def is_live(payload: Mapping[str, Any]) -> bool:
    """Whether the payload says that the subscription is paid for or on trial; one that names no status does not."""
    active = group(payload, "subscriptionCustomer").get("active")
    return active is not False and subscription_status_of(payload) in _LIVE
