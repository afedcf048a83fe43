"""The events that Pocketsflow says it sends: one entry each."""

from recipes.events.kinds import EventType
from recipes.events.vocabulary import pick

_PERSON = ("buyer.email", "buyer.first_name", "buyer.last_name", "buyer.name", "buyer.id")
_SOLD = ("product.id", "product.variant_id", "product.name")
_SALE = pick("buyer.", "order.", *_SOLD)
_SUBSCRIPTION = pick(*_PERSON, "buyer.reference", "subscription.")
_INVOICE = pick(*_PERSON, "buyer.reference", "subscription.", "invoice.")
_PAYMENT = pick(*_PERSON, "buyer.reference", "payment.")
_PRODUCT = pick("product.id", "product.name", "product.price", "product.price_text", "product.price_known",
                "product.currency")  # fmt: skip

SALES = (
    EventType(
        name="order.completed",
        family="Sales",
        title="New sale",
        sentence="A buyer paid for a one-time product.",
        when="someone buys a product",
        facts=_SALE,
    ),
    EventType(
        name="order.refunded",
        family="Sales",
        title="Refund",
        sentence="An order was refunded, in full or in part.",
        when="an order is refunded",
        facts=pick("buyer.", "order.", "refund.", *_SOLD),
    ),
)

PEOPLE = (
    EventType(
        name="customer.created",
        family="Customers",
        title="New customer",
        sentence="Someone became a customer of the store.",
        when="someone becomes a customer",
        facts=_SALE,
    ),
    EventType(
        name="review.created",
        family="Reviews",
        title="New review",
        sentence="A buyer left a review of a product.",
        when="a buyer leaves a review",
        facts=pick(*_PERSON, "review.", "product.id", "product.name"),
    ),
)

SUBSCRIPTIONS = (
    EventType(
        name="customer.subscription.created",
        family="Subscriptions",
        title="Subscription started",
        sentence="A buyer's subscription, or its trial, began.",
        when="a subscription starts",
        facts=_SUBSCRIPTION,
    ),
    EventType(
        name="customer.subscription.updated",
        family="Subscriptions",
        title="Subscription changed",
        sentence="A subscription's plan or state changed: payment overdue, recovered, cancellation scheduled.",
        when="a subscription changes",
        facts=_SUBSCRIPTION,
    ),
    EventType(
        name="customer.subscription.pause",
        family="Subscriptions",
        title="Subscription paused",
        sentence="A subscription's billing was paused; the buyer keeps access.",
        when="a subscription is paused",
        facts=_SUBSCRIPTION,
    ),
    EventType(
        name="customer.subscription.resumed",
        family="Subscriptions",
        title="Subscription resumed",
        sentence="A paused subscription goes on.",
        when="a subscription is resumed",
        facts=_SUBSCRIPTION,
    ),
    EventType(
        name="customer.subscription.trial_will_end",
        family="Subscriptions",
        title="Trial ending soon",
        sentence="A trial ends in a few days.",
        when="a trial is about to end",
        facts=_SUBSCRIPTION,
    ),
    EventType(
        name="customer.subscription.deleted",
        family="Subscriptions",
        title="Subscription ended",
        sentence="A subscription is over and with it the buyer's access.",
        when="a subscription ends",
        facts=_SUBSCRIPTION,
    ),
)

RENEWALS = (
    EventType(
        name="invoice.payment_succeeded",
        family="Renewals",
        title="Renewal paid",
        sentence="A subscription's renewal was charged.",
        when="a renewal is paid",
        facts=_INVOICE,
        twin="invoice.paid",
    ),
    EventType(
        name="invoice.paid",
        family="Renewals",
        title="Invoice paid",
        sentence="A subscription's invoice was paid: the same as “Renewal paid”, under another name.",
        when="an invoice is paid",
        facts=_INVOICE,
        twin="invoice.payment_succeeded",
    ),
    EventType(
        name="invoice.payment_failed",
        family="Renewals",
        title="Renewal failed",
        sentence="A subscription's renewal could not be charged.",
        when="a renewal fails",
        facts=_INVOICE,
    ),
    EventType(
        name="invoice.created",
        family="Renewals",
        title="Invoice created",
        sentence="An invoice was made for a subscription; it may not be paid yet.",
        when="an invoice is created",
        facts=_INVOICE,
    ),
    EventType(
        name="invoice.upcoming",
        family="Renewals",
        title="Renewal coming up",
        sentence="A subscription will be renewed soon.",
        when="a renewal is coming up",
        facts=_INVOICE,
    ),
)

PAYMENTS = (
    EventType(
        name="payment_intent.succeeded",
        family="Payments",
        title="Payment succeeded",
        sentence="A payment went through. The sale or the renewal it belongs to is told separately.",
        when="a payment goes through",
        facts=_PAYMENT,
    ),
    EventType(
        name="payment_intent.payment_failed",
        family="Payments",
        title="Payment failed",
        sentence="A payment did not go through.",
        when="a payment fails",
        facts=_PAYMENT,
    ),
)

PRODUCTS = (
    EventType(
        name="product.created",
        family="Products",
        title="Product added",
        sentence="A product was added to the store.",
        when="a product is added",
        facts=_PRODUCT,
    ),
    EventType(
        name="product.updated",
        family="Products",
        title="Product changed",
        sentence="A product's name, price or another detail changed.",
        when="a product changes",
        facts=_PRODUCT,
    ),
    EventType(
        name="product.deleted",
        family="Products",
        title="Product removed",
        sentence="A product was removed from the store.",
        when="a product is removed",
        facts=_PRODUCT,
    ),
)
