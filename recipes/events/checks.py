"""Whether a body bears out its event's name. The name comes in a header that is not signed; the body is signed."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from recipes.events import body, event_type
from recipes.models import Standing

_Verdict = tuple[Standing, str]
_READY: _Verdict = (Standing.READY, "")

SETTLED = frozenset({"succeeded", "completed"})
_LONGEST_STATUS = 40

# What only bodies of one family have.
_MARKS = frozenset({"order", "refund", "subscriptionCustomer", "subscriptionCustomerId", "review", "payment"})


def standing_of(name: str, payload: Mapping[str, Any]) -> _Verdict:
    """Whether an event can run recipes, and a sentence if it cannot. name: canonical."""
    known = event_type(name)
    if known is None:
        return Standing.UNKNOWN, f"There is no recipe for events called “{name}”. It is kept as it came."
    family, (find, whom) = known.family, _SUBJECTS[known.family]
    if not find(payload):
        if _MARKS.isdisjoint(payload):
            # Not a contradiction: a shape that we have not met, such as a payment provider's own invoice.
            return Standing.UNKNOWN, f"This does not say {whom}, so no recipe ran. It is kept as it came."
        return _contradicts(name)
    if family == "Products" and not _MARKS.isdisjoint(payload):
        return _contradicts(name)
    check = _CHECKS.get(name)
    return check(payload) if check else _READY


def _contradicts(name: str) -> _Verdict:
    return (
        Standing.SUSPICIOUS,
        f"This came as “{name}”, but its contents are those of another event. It is kept, and no recipe ran.",
    )


def _ended(payload: Mapping[str, Any]) -> _Verdict:
    if body.has_ended(payload):
        return _READY
    return (
        Standing.SUSPICIOUS,
        "This came as the end of a subscription, but its contents do not say that it is over. Check the subscription "
        "in Pocketsflow; no recipe ran.",
    )


def _not_ended(payload: Mapping[str, Any]) -> _Verdict:
    word = body.subscription_status_of(payload)
    if word not in body.ENDED:
        return _READY
    return (
        Standing.SUSPICIOUS,
        f"This came as the start of a subscription, or as its going on, but its contents say that it is {word}. Check "
        "the subscription in Pocketsflow; no recipe ran.",
    )


def _settled(payload: Mapping[str, Any]) -> _Verdict:
    word = body.status(body.group(payload, "refund").get("status"))
    if word is None or word in SETTLED:
        return _READY
    shown = word if word.isprintable() and len(word) <= _LONGEST_STATUS else "something else"
    return Standing.UNKNOWN, f"This refund is not settled: its status is “{shown}”. Recipes run once it is."


def _buyer(payload: Mapping[str, Any]) -> Any:
    return body.email_of(payload) or body.id_of(payload, "customer")


def _review(payload: Mapping[str, Any]) -> Any:
    return body.review_text_of(payload) or body.review_rating_of(payload) is not None


def _payment(payload: Mapping[str, Any]) -> Any:
    return body.payment_id_of(payload) or "amount" in payload


_Find = Callable[[Mapping[str, Any]], Any]

# Per family: what a body must name to be of use, and how a sentence says it.
_SUBJECTS: Mapping[str, tuple[_Find, str]] = MappingProxyType(
    {
        "Sales": (body.order_id_of, "which order it is about"),
        "Customers": (_buyer, "who the customer is"),
        "Reviews": (_review, "what the review is"),
        "Subscriptions": (body.subscriber_id_of, "whose subscription it is about"),
        "Renewals": (body.subscriber_id_of, "whose subscription it is about"),
        "Payments": (_payment, "which payment it is about"),
        "Products": (body.product_id_of, "which product it is about"),
    }
)

_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], _Verdict]] = MappingProxyType(
    {
        "customer.subscription.deleted": _ended,
        "customer.subscription.created": _not_ended,
        "customer.subscription.resumed": _not_ended,
        "customer.subscription.trial_will_end": _not_ended,
        "order.refunded": _settled,
    }
)
