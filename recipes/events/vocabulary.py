"""The facts: one vocabulary for all events."""

from recipes.events.kinds import Fact

VOCABULARY: tuple[Fact, ...] = (
    Fact("buyer.email", "Buyer's e-mail"),
    Fact("buyer.first_name", "Buyer's first name"),
    Fact("buyer.last_name", "Buyer's last name"),
    Fact("buyer.name", "Buyer's name"),
    Fact("buyer.id", "Buyer's ID"),
    Fact("buyer.country", "Buyer's country"),
    Fact("buyer.reference", "Your own reference for the buyer"),
    Fact("order.id", "Order ID"),
    Fact("order.total", "Order total, for people"),
    Fact("order.amount", "Order amount", "money"),
    Fact("order.amount_before_tax", "Order amount before tax", "money"),
    Fact("order.tax", "Order tax", "money"),
    Fact("order.currency", "Order currency"),
    Fact("order.amount_known", "Order amount is certain", "yes_no"),
    Fact("order.country", "Order country"),
    Fact("refund.id", "Refund ID"),
    Fact("refund.total", "Refunded, for people"),
    Fact("refund.amount", "Refunded amount", "money"),
    Fact("refund.currency", "Refund currency"),
    Fact("refund.amount_known", "Refunded amount is certain", "yes_no"),
    Fact("refund.reason", "Refund reason"),
    Fact("refund.status", "Refund status"),
    Fact("product.id", "Product ID"),
    Fact("product.variant_id", "Product variant ID"),
    Fact("product.name", "Product name"),
    Fact("product.price_text", "Product price, for people"),
    Fact("product.price", "Product price", "money"),
    Fact("product.currency", "Product currency"),
    Fact("product.price_known", "Product price is certain", "yes_no"),
    Fact("subscription.id", "Subscription ID"),
    Fact("subscription.offer_id", "Subscription offer ID"),
    Fact("subscription.status", "Subscription status"),
    Fact("subscription.active", "Subscription is active", "yes_no"),
    Fact("subscription.paused", "Subscription is paused", "yes_no"),
    Fact("subscription.cancels_at_period_end", "Subscription ends with its period", "yes_no"),
    Fact("invoice.total", "Invoice total, for people"),
    Fact("invoice.amount", "Invoice amount", "money"),
    Fact("invoice.currency", "Invoice currency"),
    Fact("invoice.amount_known", "Invoice amount is certain", "yes_no"),
    Fact("payment.id", "Payment ID"),
    Fact("payment.status", "Payment status"),
    Fact("payment.total", "Payment, for people"),
    Fact("payment.amount", "Payment amount", "money"),
    Fact("payment.currency", "Payment currency"),
    Fact("payment.amount_known", "Payment amount is certain", "yes_no"),
    Fact("review.id", "Review ID"),
    Fact("review.rating", "Review rating", "number"),
    Fact("review.text", "Review text"),
    Fact("occurred_at", "Time of the event", "time"),
    Fact("test_mode", "Test event", "yes_no"),
)

ALWAYS = ("occurred_at", "test_mode")


def pick(*names: str) -> tuple[Fact, ...]:
    """Facts by name, or by group with a final dot ("order."), in the vocabulary's order; with those of every event."""
    wanted = (*names, *ALWAYS)
    unknown = [name for name in wanted if not any(_fits(fact, name) for fact in VOCABULARY)]
    if unknown:
        raise LookupError(f"no such fact: {', '.join(unknown)}")
    return tuple(fact for fact in VOCABULARY if any(_fits(fact, name) for name in wanted))


def _fits(fact: Fact, name: str) -> bool:
    return fact.name.startswith(name) if name.endswith(".") else fact.name == name
