"""What is remembered of an order's refunds, so that a sale that comes after them is told from one that stands.

A memory is a small JSON object: `count`, how many refunds were settled; `most`, what they can come to together at
most, in major units as text, None if one of them did not tell.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from recipes.events import body, money
from recipes.events.facts import order_amounts, order_unit

Memory = Mapping[str, Any]


def added(memory: Memory | None, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The memory after one more refund."""
    before, amount = memory or {"count": 0, "most": "0"}, _most(payload)
    told = before.get("most")
    most = None if told is None or amount is None else str(Decimal(told) + amount)
    return {"count": int(before.get("count", 0)) + 1, "most": most}


def may_be_whole(memory: Memory | None, sale: Mapping[str, Any]) -> bool:
    """Whether the refunds may have given back all that was paid. sale: the payload of the order's completion.

    After a part only, the buyer keeps the product. Where an amount or its unit is not told, it counts as the whole,
    as that does less harm: access that is missing the buyer asks for, access given after a refund nobody notices.
    """
    return may_come_to(memory, least_paid(sale))


def may_come_to(memory: Memory | None, paid: Decimal | None) -> bool:
    """The same of an order for which at least `paid` was paid; None if that is not told."""
    if not memory or not memory.get("count"):
        return False
    most = memory.get("most")
    return most is None or paid is None or Decimal(most) >= paid


def least_paid(sale: Mapping[str, Any]) -> Decimal | None:
    """What was paid for an order at the least, in major units; None if that is not told."""
    amount, before_tax, _ = order_amounts(sale)
    # The tax may have been given back by another way, and the whole then is what was paid without it.
    told = [each for each in (amount, before_tax) if each is not None]
    return money.bounds(min(told), order_unit(sale), money.currency(sale.get("currency")))[0] if told else None


def _most(payload: Mapping[str, Any]) -> Decimal | None:
    refund = body.group(payload, "refund")
    sent = money.number(refund.get("amount"))
    # A refund of nothing is one that does not tell.
    if not sent:
        return None
    code = money.currency(refund.get("currency")) or money.currency(payload.get("currency"))
    return money.bounds(abs(sent), order_unit(payload), code)[1]
