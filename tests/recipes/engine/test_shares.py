"""Merchants share the engine: one whose services hang leaves room for the others."""

from collections import Counter

import pytest
from sqlalchemy import Engine

from recipes.db import transaction
from recipes.models import Endpoint, Merchant
from recipes.vault import Vault
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

FIELDS = {"audience": "a1", "email": "{{ buyer.email }}"}


@pytest.fixture
def neighbour(engine: Engine, vault: Vault, mailchimp: Vendor) -> Kitchen:
    """Another merchant on the same engine."""
    with transaction(engine) as session:
        merchant = Merchant(name="Beta Books", created_at=NOW)
        session.add(merchant)
        session.flush()
        assert merchant.id is not None
        endpoint = Endpoint(merchant_id=merchant.id, token="token-of-the-neighbour", created_at=NOW)
        session.add(endpoint)
    return Kitchen(engine, vault, endpoint, {"mailchimp": mailchimp.url})


def _sell(kitchen: Kitchen, connections: int, sales: int) -> None:
    for _ in range(connections):
        kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", kitchen.connect("mailchimp"), **FIELDS))
    for number in range(sales):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))


def _shares(kitchen: Kitchen) -> Counter[int]:
    return Counter(run.merchant_id for run in kitchen.runs() if run.state == "running")


def test_no_merchant_takes_more_than_a_share(kitchen: Kitchen, neighbour: Kitchen) -> None:
    """However many connections hang, there is room for who comes later."""
    _sell(kitchen, connections=10, sales=4)
    assert len(kitchen.claim(limit=64, limit_each=32)) == 32
    _sell(neighbour, connections=1, sales=4)
    claimed = kitchen.claim(limit=32, limit_each=32)
    assert {each.merchant_id for each in claimed} == {neighbour.endpoint.merchant_id}
    assert len(claimed) == 4


def test_merchants_take_turns(kitchen: Kitchen, neighbour: Kitchen) -> None:
    """When there is room for little, it is not all for the one with the most connections."""
    _sell(kitchen, connections=10, sales=4)
    _sell(neighbour, connections=1, sales=4)
    kitchen.claim(limit=8)
    assert _shares(kitchen) == {kitchen.endpoint.merchant_id: 4, neighbour.endpoint.merchant_id: 4}
    kitchen.claim(limit=8)
    assert _shares(kitchen) == {kitchen.endpoint.merchant_id: 12, neighbour.endpoint.merchant_id: 4}
