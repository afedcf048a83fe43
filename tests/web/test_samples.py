"""A test event goes through the real receiver, is stored like any delivery, and is known for a sample."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlmodel import select

from recipes.db import reading, transaction
from recipes.endpoint_cache import EndpointCache
from recipes.inbox import Inbox
from recipes.models import Endpoint, Event, Mode
from recipes.settings import Settings
from recipes.spool import Spool
from recipes.vault import Vault
from tests.conftest import NOW
from tests.web.conftest import World
from web.receiver import Receiver
from web.samples import sample_sender
from web.site import SendSample


@pytest.fixture
def send(app: Flask, engine: Engine, vault: Vault, settings: Settings, world: World) -> Iterator[SendSample]:
    """The sender on a receiver of its own."""
    inbox = Inbox(engine, Spool(settings.spool), lambda: None)
    receiver = Receiver(app, EndpointCache(engine, vault), inbox, now=lambda: NOW)
    yield sample_sender(engine, vault, receiver, lambda: NOW)
    inbox.close()


def test_a_sample_is_stored_each_time(engine: Engine, world: World, send: SendSample) -> None:
    """No sample is taken for a repeat of the one before; each side of the store gets its own."""
    for mode in (Mode.LIVE, Mode.LIVE, Mode.TEST):
        assert "a sample “New sale” came in" in send(world.merchant_id, mode, "order.completed")
    with reading(engine) as session:
        found = session.exec(select(Event.mode, Event.origin).where(Event.type == "order.completed")).all()
    assert sorted(found) == [("live", "sample"), ("live", "sample"), ("test", "sample")]


def test_it_needs_no_secret_of_pocketsflows(engine: Engine, endpoint: Endpoint, world: World, send: SendSample) -> None:
    """A newcomer can try a recipe before anything is connected."""
    with transaction(engine) as session:
        session.get_one(Endpoint, endpoint.id).secret = None
    assert "a sample “New sale” came in" in send(world.merchant_id, Mode.LIVE, "order.completed")
