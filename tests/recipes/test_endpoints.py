"""Endpoints: the address and the secret under which a store's deliveries come in."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from recipes.db import transaction
from recipes.endpoints import (
    EndpointError,
    delivery_url,
    endpoint_of,
    find_endpoint,
    last_delivery_at,
    rejections,
    sample_secret,
    secrets_of,
    set_secret,
)
from recipes.models import Endpoint, Event, Merchant, Mode, Origin, RejectedDelivery
from recipes.settings import Settings
from recipes.vault import Vault
from tests.conftest import NOW, SECRET, TOKEN

DAY = timedelta(days=1)


def test_each_side_of_a_store_has_one_endpoint_made_on_demand(engine: Engine, vault: Vault, merchant: Merchant) -> None:
    with transaction(engine) as session:
        assert find_endpoint(session, merchant.id or 0, Mode.TEST) is None
        live = endpoint_of(session, merchant.id or 0, Mode.LIVE, NOW)
        test = endpoint_of(session, merchant.id or 0, Mode.TEST, NOW)
        assert endpoint_of(session, merchant.id or 0, Mode.TEST, NOW) is test
    assert live.token != test.token
    assert len(live.token) >= 32


def test_the_delivery_address_is_under_the_public_url(settings: Settings, endpoint: Endpoint) -> None:
    assert delivery_url(settings, endpoint) == f"http://127.0.0.1:8000/hooks/{TOKEN}"


def test_a_rotated_secret_stays_good_for_a_day(engine: Engine, vault: Vault, endpoint: Endpoint) -> None:
    with transaction(engine) as session:
        endpoint = session.merge(endpoint)
        set_secret(session, vault, endpoint, "  whsec_the_new_one\n", NOW)
    assert secrets_of(vault, endpoint, NOW) == ["whsec_the_new_one", SECRET]
    assert secrets_of(vault, endpoint, NOW + DAY - timedelta(seconds=1)) == ["whsec_the_new_one", SECRET]
    assert secrets_of(vault, endpoint, NOW + DAY) == ["whsec_the_new_one"]


def test_the_secret_that_worked_outlives_a_wrong_one_pasted_after_it(
    engine: Engine, vault: Vault, endpoint: Endpoint
) -> None:
    """Pasted by mistake, then the right one: what is signed with the first must not be refused, and lost."""
    with transaction(engine) as session:
        endpoint = session.merge(endpoint)
        set_secret(session, vault, endpoint, "not_the_secret_at_all", NOW)
        set_secret(session, vault, endpoint, "whsec_the_new_one", NOW + timedelta(minutes=1))
        set_secret(session, vault, endpoint, SECRET, NOW + timedelta(minutes=2))
    assert secrets_of(vault, endpoint, NOW + DAY) == [SECRET, "whsec_the_new_one", "not_the_secret_at_all"]
    assert secrets_of(vault, endpoint, NOW + DAY + timedelta(minutes=2)) == [SECRET]


def test_a_leaked_secret_can_end_at_once(engine: Engine, vault: Vault, endpoint: Endpoint) -> None:
    with transaction(engine) as session:
        endpoint = session.merge(endpoint)
        set_secret(session, vault, endpoint, "whsec_the_new_one", NOW, overlap=timedelta(0))
    assert secrets_of(vault, endpoint, NOW) == ["whsec_the_new_one"]


def test_each_endpoint_has_a_secret_for_samples_that_signs_nothing_else(
    engine: Engine, vault: Vault, merchant: Merchant
) -> None:
    with transaction(engine) as session:
        live = endpoint_of(session, merchant.id or 0, Mode.LIVE, NOW)
        test = endpoint_of(session, merchant.id or 0, Mode.TEST, NOW)
        assert secrets_of(vault, live, NOW) == []
        before = sample_secret(vault, live)
        set_secret(session, vault, live, SECRET, NOW)
    assert secrets_of(vault, live, NOW) == [SECRET]
    assert len({sample_secret(vault, live), sample_secret(vault, test), SECRET}) == 3
    assert sample_secret(vault, live) == before


def test_pasting_the_same_secret_again_changes_nothing(engine: Engine, vault: Vault, endpoint: Endpoint) -> None:
    with transaction(engine) as session:
        endpoint = session.merge(endpoint)
        set_secret(session, vault, endpoint, SECRET, NOW)
    assert secrets_of(vault, endpoint, NOW) == [SECRET]


@pytest.mark.parametrize(
    "secret", ["", "  \n", "two words of it", "x" * 501, "•" * 20, "short", "https://pocketwire.example/hooks/x"]
)
def test_what_cannot_be_a_secret_is_refused_without_repeating_it(
    engine: Engine, vault: Vault, endpoint: Endpoint, secret: str
) -> None:
    with pytest.raises(EndpointError) as refused, transaction(engine) as session:
        set_secret(session, vault, session.merge(endpoint), secret, NOW)
    assert "two words" not in str(refused.value)


def test_refused_deliveries_are_counted_anew_under_a_new_secret(
    engine: Engine, vault: Vault, endpoint: Endpoint
) -> None:
    with transaction(engine) as session:
        for minutes, reason in ((0, "the signature was missing"), (5, "the signature was wrong")):
            at = NOW + timedelta(minutes=minutes)
            session.add(RejectedDelivery(endpoint_id=endpoint.id or 0, reason=reason, count=3, first_at=at, last_at=at))
    with transaction(engine) as session:
        endpoint = session.merge(endpoint)
        assert [each.reason for each in rejections(session, endpoint)] == [
            "the signature was wrong",
            "the signature was missing",
        ]
        set_secret(session, vault, endpoint, "whsec_the_new_one", NOW)
        assert rejections(session, endpoint) == []


def test_the_last_delivery_is_one_that_was_delivered(engine: Engine, endpoint: Endpoint) -> None:
    """What reconciling found does not show that deliveries get through, nor does a sample of ours."""
    with transaction(engine) as session:
        assert last_delivery_at(session, endpoint) is None
        _add_event(session, endpoint, minutes=1, origin=Origin.WEBHOOK)
        _add_event(session, endpoint, minutes=8, origin=Origin.SAMPLE)
        _add_event(session, endpoint, minutes=9, origin=Origin.RECONCILED)
        assert last_delivery_at(session, endpoint) == NOW + timedelta(minutes=1)


def _add_event(session: Session, endpoint: Endpoint, *, minutes: int, origin: Origin) -> None:
    at = NOW + timedelta(minutes=minutes)
    session.add(
        Event(
            merchant_id=endpoint.merchant_id, endpoint_id=endpoint.id or 0, mode=Mode.LIVE, type="order.completed",
            origin=origin, occurred_at=at, received_at=at, body=b"{}",
        )
    )  # fmt: skip
    session.flush()
