"""In whatever order starts and ends come: who has a subscription is in, and who has none is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import engine as runs
from recipes.db import transaction
from recipes.models import Endpoint, Merchant
from recipes.retention import forget_old
from recipes.vault import Vault
from tests.conftest import NOW, both_databases
from tests.recipes.engine.conftest import NewDatabase
from tests.recipes.engine.kitchen import Kitchen, step
from tests.recipes.events.deliveries import sample

CREATED, DELETED = "customer.subscription.created", "customer.subscription.deleted"
CHANNEL = "C0000000001"


class Slack:
    """A workspace where everybody has an account, behind one connection."""

    def __init__(self) -> None:
        self.members: set[tuple[str, str]] = set()

    def get(self, app: str, connection_id: int, revision: int, credentials: bytes) -> "Slack":
        """As ClientCache does."""
        return self

    def users_lookupByEmail(self, *, email: str) -> dict[str, Any]:  # noqa: N802 - Slack's own name
        """Who they are."""
        return {"user": {"id": email}}

    def conversations_invite(self, *, channel: str, users: str) -> None:
        """Lets them in."""
        self.members.add((users, channel))

    def conversations_kick(self, *, channel: str, user: str) -> None:
        """Puts them out."""
        self.members.discard((user, channel))


@contextmanager
def _a_kitchen(new_database: NewDatabase, slack: Slack) -> Iterator[Kitchen]:
    with new_database() as engine:
        with transaction(engine) as session:
            merchant = Merchant(name="Acme", created_at=NOW)
            session.add(merchant)
            session.flush()
            endpoint = Endpoint(merchant_id=merchant.id or 0, token="t", created_at=NOW)
            session.add(endpoint)
        yield Kitchen(engine, Vault.from_keys(["a key of forty characters, or rather more"]), endpoint, {}, slack)


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


@both_databases
def test_who_has_a_subscription_is_in(new_database: NewDatabase, database_url: str) -> None:
    """One buyer after another; the connection may be paused, and reconnected, in between."""
    slack = Slack()
    with _a_kitchen(new_database, slack) as kitchen:
        connection = kitchen.connect("slack")
        fields = {"channel": CHANNEL, "email": "{{ buyer.email }}"}
        kitchen.recipe(CREATED, step("slack", "invite_to_channel", connection, **fields))
        kitchen.recipe(DELETED, step("slack", "remove_from_channel", connection, **fields))
        buyers = (f"buyer{number}@example.com" for number in count())

        @settings(max_examples=5 if database_url else 15, deadline=None)
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
            assert ((buyer, CHANNEL) in slack.members) == (going_on > 0)

        holds()


def _meanwhile(kitchen: Kitchen, connection: int, what: str) -> None:
    if what == "hold":
        with transaction(kitchen.engine) as session:
            runs.hold(session, connection, reason="…", now=kitchen.now)
    elif what == "release":
        kitchen.release(connection)
    elif what == "wait":
        kitchen.later(minutes=1)


# ── With what is old forgotten ───────────────────────────────────────────────────────────────────────────

PAUSED, RESUMED = "customer.subscription.pause", "customer.subscription.resumed"
# Nothing gives this one back at a resumption: what a pause did not take stays given.
ONCE = "C0000000002"


@st.composite
def _lives(draw: st.DrawFn) -> list[tuple[int, int, str, int]]:
    """What becomes of three subscriptions: the day it comes in, the day it happened, what, and of which."""
    told = []
    for number in range(3):
        day = draw(st.integers(0, 30))
        events = [CREATED, *[PAUSED, RESUMED] * draw(st.integers(0, 2))]
        events += draw(st.sampled_from([[], [PAUSED], [DELETED]]))
        for event in events:
            told.append((day + draw(st.sampled_from([0, 0, 0, 1, 4])), day, event, number))
            day += draw(st.integers(2, 20))
    return sorted(told)


def _cook(kitchen: Kitchen) -> None:
    connection = kitchen.connect("slack")
    for channel in (CHANNEL, ONCE):
        fields = {"channel": channel, "email": "{{ buyer.email }}"}
        giving, taking = (
            step("slack", name, connection, **fields) for name in ("invite_to_channel", "remove_from_channel")
        )
        kitchen.recipe(CREATED, giving)
        kitchen.recipe(PAUSED, taking)
        kitchen.recipe(DELETED, taking)
        if channel == CHANNEL:
            kitchen.recipe(RESUMED, giving)


@pytest.mark.long
def test_what_is_forgotten_changes_nothing(new_database: NewDatabase) -> None:
    """Of two installations one forgets after a week: both do the same, to the last end."""
    services = Slack(), Slack()
    with _a_kitchen(new_database, services[0]) as forgetful, _a_kitchen(new_database, services[1]) as keeping:
        both = (forgetful, keeping)
        for kitchen in both:
            _cook(kitchen)
        buyers = (f"buyer{number}@example.com" for number in count())

        def tell(event: str, buyer: str, number: int, at: datetime, now: datetime) -> None:
            forget_old(forgetful.engine, keep_days=7, now=now, pause=lambda _: False)
            for kitchen in both:
                kitchen.now = now
                kitchen.deliver(event, _body(event, buyer, number), occurred_at=at)
                kitchen.work()
            assert services[0].members == services[1].members
            assert _ends(forgetful).items() <= _ends(keeping).items()

        @settings(max_examples=8, deadline=None)
        @given(_lives(), st.permutations(range(3)), st.lists(st.integers(0, 30), min_size=3, max_size=3))
        def holds(lives: list[tuple[int, int, str, int]], order: list[int], waits: list[int]) -> None:
            buyer, first = next(buyers), keeping.now + timedelta(days=8)
            for came, day, event, number in lives:
                tell(event, buyer, number, first + timedelta(days=day), first + timedelta(days=came))
            over = {number for _, _, event, number in lives if event == DELETED}
            for number, days in zip(order, waits, strict=True):
                now = keeping.now + timedelta(days=days, hours=1)
                if number not in over:
                    tell(DELETED, buyer, number, now, now)
            assert not {who for who, _ in services[0].members if who == buyer}

        holds()


def _ends(kitchen: Kitchen) -> dict[tuple[int, int], str]:
    return {(run.event_id, run.recipe_id): run.state for run in kitchen.runs()}
