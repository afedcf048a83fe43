"""In whatever order starts and ends come: who has a subscription is in, and who has none is not."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as database_event
from sqlmodel import SQLModel

from recipes import engine as runs
from recipes.db import open_database, transaction
from recipes.models import Endpoint, Merchant
from recipes.vault import Vault
from tests.conftest import NOW
from tests.recipes.engine.kitchen import Kitchen, step
from tests.recipes.events.deliveries import sample

CREATED, DELETED = "customer.subscription.created", "customer.subscription.deleted"
CHANNEL = "C0000000001"


class Slack:
    """A workspace where everybody has an account, behind one connection."""

    def __init__(self) -> None:
        self.members: set[str] = set()

    def get(self, app: str, connection_id: int, revision: int, credentials: bytes) -> "Slack":
        """As ClientCache does."""
        return self

    def users_lookupByEmail(self, *, email: str) -> dict[str, Any]:  # noqa: N802 - Slack's own name
        """Who they are."""
        return {"user": {"id": email}}

    def conversations_invite(self, *, channel: str, users: str) -> None:
        """Lets them in."""
        self.members.add(users)

    def conversations_kick(self, *, channel: str, user: str) -> None:
        """Puts them out."""
        self.members.discard(user)


@contextmanager
def _a_kitchen(slack: Slack) -> Iterator[Kitchen]:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder)}/pocketwire.db")
        database_event.listen(engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
        SQLModel.metadata.create_all(engine)
        with transaction(engine) as session:
            merchant = Merchant(name="Acme", created_at=NOW)
            session.add(merchant)
            session.flush()
            endpoint = Endpoint(merchant_id=merchant.id or 0, token="t", created_at=NOW)
            session.add(endpoint)
        try:
            yield Kitchen(engine, Vault.from_keys(["a key of forty characters, or rather more"]), endpoint, {}, slack)
        finally:
            engine.dispose()


def _body(event: str, buyer: str, number: int) -> dict[str, Any]:
    body = sample(event, customer={"email": buyer})
    name = f"{buyer}-{number}"
    holder = {**body["subscriptionCustomer"], "id": name}
    return {**body, "subscriptionCustomer": holder, "subscriptionCustomerId": name}


@st.composite
def _stories(draw: st.DrawFn) -> tuple[list[tuple[str, int, int]], int]:
    """Starts, and ends of some, each with the hour it happened in, in the order of arrival; and how many go on."""
    ended = draw(st.lists(st.booleans(), min_size=2, max_size=3))
    told = []
    for number, has_ended in enumerate(ended):
        first = draw(st.integers(0, 20))
        told.append((CREATED, number, first))
        if has_ended:
            told.append((DELETED, number, first + draw(st.integers(1, 20))))
    return draw(st.permutations(told)), ended.count(False)


def test_who_has_a_subscription_is_in() -> None:
    """One buyer after another; the connection may be paused, and reconnected, in between."""
    slack = Slack()
    with _a_kitchen(slack) as kitchen:
        connection = kitchen.connect("slack")
        fields = {"channel": CHANNEL, "email": "{{ buyer.email }}"}
        kitchen.recipe(CREATED, step("slack", "invite_to_channel", connection, **fields))
        kitchen.recipe(DELETED, step("slack", "remove_from_channel", connection, **fields))
        buyers = (f"buyer{number}@example.com" for number in count())

        @settings(max_examples=15, deadline=None)
        @given(_stories(), st.lists(st.sampled_from(["work", "hold", "release", "wait"]), min_size=6, max_size=6))
        def holds(story: tuple[list[tuple[str, int, int]], int], between: list[str]) -> None:
            buyer, (told, going_on) = next(buyers), story
            first = kitchen.now
            kitchen.later(days=3)
            for (event, number, hour), meanwhile in zip(told, between, strict=False):
                kitchen.deliver(event, _body(event, buyer, number), occurred_at=first + timedelta(hours=hour))
                _meanwhile(kitchen, connection, meanwhile)
                kitchen.work()
            kitchen.release(connection)
            kitchen.work()
            assert (buyer in slack.members) == (going_on > 0)

        holds()


def _meanwhile(kitchen: Kitchen, connection: int, what: str) -> None:
    if what == "hold":
        with transaction(kitchen.engine) as session:
            runs.hold(session, connection, reason="…", now=kitchen.now)
    elif what == "release":
        kitchen.release(connection)
    elif what == "wait":
        kitchen.later(minutes=1)
