"""The same words for every event; what an event does not say is None; private links are nowhere."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from recipes.events import EVENT_TYPES, EventType
from recipes.events.facts import facts_of
from recipes.mapping import render
from tests.conftest import NOW
from tests.recipes.events.deliveries import reading_of, sample, subscriber, variant

EACH = pytest.mark.parametrize("event", EVENT_TYPES, ids=lambda event: event.name)


def told(event: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The facts."""
    return facts_of(event, body, occurred_at=NOW, test_mode=True)


def names(facts: Mapping[str, Any]) -> set[str]:
    """The dotted names of all facts but the payload's."""
    groups = {name: value for name, value in facts.items() if name != "payload"}
    return {
        f"{group}.{name}" if name else group
        for group, value in groups.items()
        for name in (value if isinstance(value, dict) else [""])
    }


@EACH
@pytest.mark.parametrize("is_empty", [False, True], ids=["sample", "empty"])
def test_every_listed_fact_is_there_and_no_other(event: EventType, is_empty: bool) -> None:
    """A recipe that was saved can always be filled in, and a slip is found on saving."""
    facts = told(event.name, {} if is_empty else event.sample())
    assert names(facts) == {fact.name for fact in event.facts}


_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (Decimal,),
    "money": (Decimal,),
    "yes_no": (bool,),
    "time": (type(NOW),),
}


@EACH
def test_every_fact_is_of_its_kind(event: EventType) -> None:
    """Conditions compare by kind."""
    facts = told(event.name, event.sample())
    for fact in event.facts:
        value: Any = facts
        for part in fact.name.split("."):
            value = value[part]
        assert value is None or isinstance(value, _KINDS[fact.kind]), fact.name


def test_a_sale() -> None:
    """Buyer, order, product."""
    facts = told("order.completed", sample("order.completed", clientReferenceId="u-1"))
    assert facts["buyer"] == {
        "email": "customer@example.com",
        "first_name": "Jane",
        "last_name": "Doe",
        "name": "Jane Doe",
        "id": None,
        "country": "US",
        "reference": "u-1",
    }
    assert facts["order"] == {
        "id": "order_xyz123",
        "amount": Decimal("64.99"),
        "amount_before_tax": Decimal("60.00"),
        "tax": Decimal("4.99"),
        "currency": "USD",
        "total": "$64.99",
        "amount_known": True,
        "country": "US",
    }
    assert facts["product"] == {"id": "prod_456def", "variant_id": "var_789ghi", "name": None}
    assert (facts["occurred_at"], facts["test_mode"]) == (NOW, True)


def test_a_refund_of_either_shape() -> None:
    """One has the refund and no currency, the other only the order."""
    refund = told("order.refunded", sample("order.refunded"))
    assert refund["refund"] == {
        "id": "refund_abc456",
        "amount": Decimal("64.99"),
        "total": "64.99",
        "currency": None,
        "amount_known": True,
        "reason": "requested_by_customer",
        "status": "succeeded",
    }
    older = told("order.refunded", variant("order.refunded.help-center"))
    assert (older["refund"]["amount"], older["order"]["total"], older["order"]["country"]) == (None, "$41.99", "GB")


def test_a_subscription() -> None:
    """Its id is the buyer's subscription, not the offer; a status has one spelling."""
    body = sample("customer.subscription.updated", subscriptionCustomer=subscriber("Cancelled", active=False))
    assert told("customer.subscription.updated", body)["subscription"] == {
        "id": "6a43ce05fae6c4f0cb5a2193",
        "offer_id": "6949918ee8d99b0e628103e0",
        "status": "canceled",
        "active": False,
        "paused": False,
        "cancels_at_period_end": False,
    }


@pytest.mark.parametrize(
    "body",
    [
        {"review": {"_id": "r1", "rating": 5, "review": " Fine. "}},
        {"review": {"id": "r1", "rating": "5", "text": "Fine."}},
    ],
)
def test_a_review(body: dict[str, Any]) -> None:
    """Nobody has seen a real one yet: read by the API's words and by likely others."""
    assert told("review.created", body)["review"] == {"id": "r1", "rating": 5, "text": "Fine."}
    flat = told("review.created", {"review": "Fine.", "rating": 4})["review"]
    assert flat == {"id": None, "rating": 4, "text": "Fine."}


def test_an_unknown_event_still_tells_of_its_buyer() -> None:
    """Shown on its page."""
    facts = told("order.exploded", {"customer": {"email": "Jane@Example.com", "name": "Jane"}})
    assert (facts["buyer"]["email"], facts["buyer"]["name"]) == ("jane@example.com", "Jane")


@EACH
def test_the_private_link_is_nowhere(event: EventType) -> None:
    """Whoever has the portal link can cancel for the buyer."""
    link = "https://app.pocketsflow.com/portal/secret"
    body = {**event.sample(), "portalUrl": link, "metadata": {"again": [{"PortalUrl": link}]}}
    assert link not in json.dumps(told(event.name, body), default=str)


@pytest.mark.parametrize("template", ["payload.metadata.discord_id", "payload.portalUrl", "payload.no.such.thing"])
def test_what_the_payload_does_not_have_is_filled_in_as_nothing(template: str) -> None:
    """With the real Liquid: metadata differs from sale to sale, and a missing piece must not stop the recipe."""
    facts = told("order.completed", sample("order.completed", metadata=None, portalUrl="https://example.com"))
    assert render(f"{{{{ {template} }}}}", facts) is None
    assert render(f"<{{{{ {template} }}}}>", facts) == "<>"


def test_what_the_payload_has_is_filled_in() -> None:
    """The wrapper is off."""
    reading = reading_of(variant("order.completed.enveloped"))
    assert reading.payload is not None
    facts = told(reading.type, reading.payload)
    assert render("{{ payload.metadata.customField }}, {{ order.amount_before_tax }}", facts) == "value, 60.00"
