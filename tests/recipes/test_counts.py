"""Refused deliveries are counted, and no count keeps anything else out."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from recipes.db import reading, transaction
from recipes.inbox import Inbox, Receipt
from recipes.models import Endpoint, RejectedDelivery
from recipes.spool import Delivery
from tests.conftest import NOW, both_databases
from tests.recipes.test_inbox import _locked, delivery, inbox, spool

__all__ = ["delivery", "inbox", "spool"]

pytestmark = both_databases


def test_refusals_are_counted_by_reason(inbox: Inbox, engine: Engine, endpoint: Endpoint) -> None:
    """The merchant sees how many, why and since when; the count survives the process."""
    assert endpoint.id is not None
    inbox.count(endpoint.id, "the signature was wrong", NOW)
    inbox.count(endpoint.id, "the signature was wrong", NOW + timedelta(hours=1))
    inbox.close()
    with reading(engine) as session:
        [counted] = session.exec(select(RejectedDelivery)).all()
    assert (counted.count, counted.first_at, counted.last_at) == (2, NOW, NOW + timedelta(hours=1))


def test_counts_wait_for_a_locked_database(
    inbox: Inbox, engine: Engine, endpoint: Endpoint, delivery: Callable[..., Delivery]
) -> None:
    """None is forgotten because it could not be written at once."""
    assert endpoint.id is not None
    with transaction(engine):
        inbox.count(endpoint.id, "the signature was wrong", NOW)
        inbox.accept(delivery())  # spooled: by then the committing thread has tried the counts, or will after
    inbox.count(endpoint.id, "the signature was wrong", NOW + timedelta(hours=1))
    inbox.close()
    with reading(engine) as session:
        [counted] = session.exec(select(RejectedDelivery)).all()
    assert (counted.count, counted.first_at) == (2, NOW)


@pytest.mark.parametrize("gone", [99_999, 2**70])
def test_a_count_that_is_refused_keeps_no_other_out(
    inbox: Inbox,
    engine: Engine,
    endpoint: Endpoint,
    delivery: Callable[..., Delivery],
    caplog: pytest.LogCaptureFixture,
    gone: int,
) -> None:
    """Of an endpoint that is gone, or that no database can have: it alone is dropped, and deliveries are stored."""
    assert endpoint.id is not None
    with _locked(engine):
        for endpoint_id, reason in [
            (endpoint.id, "too large"),
            (gone, "gone"),
            (endpoint.id, "the signature was wrong"),
        ]:
            inbox.count(endpoint_id, reason, NOW)
    assert inbox.accept(delivery()) is Receipt.STORED
    inbox.close()
    with reading(engine) as session:
        counted = session.exec(select(RejectedDelivery)).all()
    assert {each.reason: each.count for each in counted} == {"too large": 1, "the signature was wrong": 1}
    assert caplog.text.count("cannot be counted") == 1
