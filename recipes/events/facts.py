"""What an event says, in the words that all events share."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from recipes.events import body, event_type, money
from recipes.events.vocabulary import pick

# Whoever has this link can cancel for the buyer; it is left out at every level.
_PRIVATE = frozenset({"portalurl", "portal_url"})
_ANY_EVENT = pick("buyer.")


def facts_of(
    type: str,  # noqa: A002 - the word events use
    payload: Mapping[str, Any],
    *,
    occurred_at: datetime,
    test_mode: bool,
) -> dict[str, Any]:
    """The facts as nested groups, `{"buyer": {"email": …}, …, "payload": …}`, with every one that the type lists.

    A fact that the event does not tell is None. Money is a Decimal in major units, or None where cents and dollars
    cannot be told apart (then `…amount_known` is False). `payload` is what Pocketsflow sent, without private links.
    An unknown type has the buyer's facts.
    """
    known = event_type(type)
    always = {"occurred_at": occurred_at, "test_mode": test_mode}
    groups: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    for fact in known.facts if known else _ANY_EVENT:
        group, _, name = fact.name.partition(".")
        if not name:
            facts[group] = always[group]
            continue
        if group not in groups:
            groups[group] = _GROUPS[group](payload)
        facts.setdefault(group, {})[name] = groups[group][name]
    facts["payload"] = without_private_links(payload)
    return facts


def without_private_links(value: Any) -> Any:
    """A payload without the buyer's self-service link, wherever in it that stands."""
    if isinstance(value, Mapping):
        return {name: without_private_links(part) for name, part in value.items() if str(name).lower() not in _PRIVATE}
    if isinstance(value, list):
        return [without_private_links(part) for part in value]
    return value


def _buyer(payload: Mapping[str, Any]) -> dict[str, Any]:
    customer = body.group(payload, "customer")
    first, last = body.text(customer.get("firstName")), body.text(customer.get("lastName"))
    return {
        "email": body.email_of(payload),
        "first_name": first,
        "last_name": last,
        "name": " ".join(part for part in (first, last) if part) or body.text(customer.get("name")),
        "id": body.id_of(payload, "customer"),
        "country": _code(customer.get("country")) or _tax_country(payload),
        "reference": body.usable_id(payload.get("clientReferenceId")),
    }


def _order(payload: Mapping[str, Any]) -> dict[str, Any]:
    amount, before_tax, tax = order_amounts(payload)
    code, unit = money.currency(payload.get("currency")), order_unit(payload)
    return {
        "id": body.order_id_of(payload),
        **_sum("amount", amount, unit, code),
        "amount_before_tax": money.in_major(before_tax, unit, code),
        "tax": money.in_major(tax, unit, code),
        "country": _tax_country(payload) or _code(body.group(payload, "customer").get("country")),
    }


def _refund(payload: Mapping[str, Any]) -> dict[str, Any]:
    refund = body.group(payload, "refund")
    code = money.currency(refund.get("currency")) or money.currency(payload.get("currency"))
    return {
        "id": body.id_of(payload, "refund"),
        **_sum("amount", money.number(refund.get("amount")), order_unit(payload), code),
        "reason": body.text(refund.get("reason")),
        "status": body.status(refund.get("status")),
    }


def _product(payload: Mapping[str, Any]) -> dict[str, Any]:
    product = body.group(payload, "product")
    code = money.currency(product.get("currency")) or money.currency(payload.get("currency"))
    price = money.number(product.get("price"))
    told = _sum("price", price, money.unit_of_price(price, code), code)
    return {
        "id": body.product_id_of(payload),
        "variant_id": body.usable_id(product.get("variantId")),
        "name": body.text(product.get("name")),
        "price_text": told.pop("total"),
        **told,
    }


def _subscription(payload: Mapping[str, Any]) -> dict[str, Any]:
    subscriber = body.group(payload, "subscriptionCustomer")
    return {
        "id": body.subscriber_id_of(payload),
        "offer_id": body.id_of(payload, "subscription"),
        "status": body.subscription_status_of(payload),
        "active": body.flag(subscriber.get("active")),
        "paused": body.flag(subscriber.get("paused")),
        "cancels_at_period_end": body.flag(subscriber.get("cancelAtPeriodEnd")),
    }


def _invoice(payload: Mapping[str, Any]) -> dict[str, Any]:
    amount = money.number(payload.get("amount"))
    return _sum("amount", amount, money.unit_of_invoice(amount), money.currency(payload.get("currency")))


def _payment(payload: Mapping[str, Any]) -> dict[str, Any]:
    status = body.status(body.group(payload, "payment").get("status"))
    return {"id": body.payment_id_of(payload), "status": status, **_invoice(payload)}


def _review(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": body.review_id_of(payload),
        "rating": money.number(body.review_rating_of(payload)),
        "text": body.review_text_of(payload),
    }


_GROUPS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {
        "buyer": _buyer,
        "order": _order,
        "refund": _refund,
        "product": _product,
        "subscription": _subscription,
        "invoice": _invoice,
        "payment": _payment,
        "review": _review,
    }
)


def order_amounts(payload: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """What was paid, what it is before tax, and the tax, as they were sent."""
    tax = body.group(payload, "tax").get("amount")
    return money.number(payload.get("amount")), money.number(payload.get("amountBeforeTax")), money.number(tax)


def order_unit(payload: Mapping[str, Any]) -> money.Unit:
    """In what unit the amounts of an order and of its refund are."""
    amounts = order_amounts(payload)
    refunded = money.number(body.group(payload, "refund").get("amount"))
    price = body.group(payload, "product").get("price")
    return money.unit_of_order((*amounts, refunded), money.currency(payload.get("currency")), amounts[1], price)


def _sum(name: str, sent: Decimal | None, unit: money.Unit, code: str | None) -> dict[str, Any]:
    amount = money.in_major(sent, unit, code)
    return {
        name: amount,
        f"{name}_known": amount is not None,
        "currency": code,
        "total": money.for_people(sent, unit, code),
    }


def _tax_country(payload: Mapping[str, Any]) -> str | None:
    return _code(body.group(payload, "tax").get("ToCountry"))


def _code(value: Any) -> str | None:
    code = body.text(value)
    return code.upper() if code else None
