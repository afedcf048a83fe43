"""Whatever fails, stops or is asked for in between: each lane in its order, nothing doubled, nobody let back in."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from recipes import engine as runs
from recipes.db import transaction
from recipes.engine import Claimed
from recipes.engine.claiming import LEASE
from recipes.models import UNFINISHED_STATES, Endpoint, Merchant, RunState
from recipes.vault import Vault
from tests.conftest import NOW, both_databases
from tests.recipes.engine.conftest import NewDatabase
from tests.recipes.engine.kitchen import Kitchen, order, step

BUYERS = ("ada@example.com", "joe@example.com")
CONNECTIONS = ("first", "second", "third")
GRANTED, ALSO_GRANTED, GRANTED_LATER = "C0000000001", "C0000000002", "C0000000003"
# What a service does with its next calls.
MOODS = ("busy", "lost", "unreachable", "revoked", "gone", "well")
_REFUSALS = {"busy": ("ratelimited", 429), "revoked": ("token_revoked", 200), "gone": ("channel_not_found", 200)}


@dataclass(frozen=True)
class Effect:
    """Something that a service did, and for which run."""

    what: str
    channel: str
    order: str
    claimed: Claimed
    at: datetime

    @property
    def lane(self) -> tuple[int | None, str]:
        """The connection and the buyer, or the event alone."""
        return self.claimed.connection_id, self.claimed.subject or f"#{self.claimed.event_id}"

    @property
    def has_waited(self) -> bool:
        """Whether its step waits as the recipe says: what comes later may be done before."""
        return bool(self.claimed.definition.steps[self.claimed.step].wait)

    @property
    def place(self) -> tuple[Any, int]:
        """Where its event stands among the others."""
        return self.claimed.occurred_at, self.claimed.event_id


class Slack:
    """All of Slack that the recipes here call, behind one connection; `moods` are taken one by each call."""

    def __init__(self, world: "World") -> None:
        self.moods: list[str] = []
        self._world = world
        self._messages: list[dict[str, Any]] = []

    def chat_postMessage(self, *, channel: str, text: str, metadata: Any, **_more: Any) -> Mapping[str, Any]:  # noqa: N802
        """Posts."""
        self._do("post", channel, text, lambda: self._messages.insert(0, {"metadata": metadata, "ts": "1.2"}))
        return {"ts": "1.2"}

    def conversations_history(self, **_more: Any) -> Mapping[str, Any]:
        """What was posted, the newest first."""
        self._do(None, "", "", lambda: None)
        return {"messages": self._messages}

    def conversations_invite(self, *, channel: str, users: str) -> None:
        """Lets in."""
        self._do("invite", channel, users, lambda: None)

    def conversations_kick(self, *, channel: str, user: str) -> None:
        """Puts out."""
        self._do("kick", channel, user, lambda: None)

    def users_lookupByEmail(self, *, email: str) -> Mapping[str, Any]:  # noqa: N802
        """Everybody has an account; here the address names the order."""
        return {"user": {"id": email.partition("@")[0]}}

    def _do(self, what: str | None, channel: str, about: str, keep: Callable[[], None]) -> None:
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "unreachable":
            raise requests.exceptions.ConnectTimeout
        if mood in _REFUSALS:
            word, status = _REFUSALS[mood]
            data = {"ok": False, "error": word}
            raise SlackApiError(  # type: ignore[no-untyped-call]
                word,
                SlackResponse(
                    client=None, http_verb="", api_url="", req_args={}, data=data, headers={}, status_code=status
                ),
            )
        keep()
        if what and self._world.present:
            self._world.effects.append(Effect(what, channel, about, self._world.present, self._world.kitchen.now))
        if mood == "lost":
            raise requests.exceptions.ConnectionError


class World:
    """Three connections to Slack, and recipes that give by some of them and take by others."""

    def __init__(self, kitchen: Callable[["World"], Kitchen]) -> None:
        self.effects: list[Effect] = []
        self.present: Claimed | None = None
        self.words: Counter[int] = Counter()
        self.orders: dict[str, str] = {}
        self.refunded: list[str] = []
        self._engines = 0
        # By engines that stand still: what came of their calls, and what they have not called for yet.
        self._frozen: list[tuple[list[runs.Performed], list[Claimed]]] = []
        self._slacks: dict[int, Slack] = {}
        self.kitchen = kitchen(self)
        first, second, third = (self.kitchen.connect_as("slack", name) for name in CONNECTIONS)
        self.connections = (first, second, third)
        who = "{{ order.id }}@example.com"
        message = step("slack", "post_message", first, channel="C0000000009", text="{{ order.id }}")
        self.kitchen.recipe(
            "order.completed", message, step("slack", "invite_to_channel", first, channel=GRANTED, email=who)
        )
        self.kitchen.recipe(
            "order.completed", step("slack", "invite_to_channel", second, channel=ALSO_GRANTED, email=who)
        )
        self.kitchen.recipe("order.refunded", step("slack", "remove_from_channel", third, channel=GRANTED, email=who))
        self.kitchen.recipe(
            "order.refunded", step("slack", "remove_from_channel", second, channel=ALSO_GRANTED, email=who)
        )
        waits = step("slack", "post_message", third, channel="C0000000008", text="{{ order.id }}") | {
            "wait": "1 minute"
        }
        gives_later = step("slack", "invite_to_channel", second, channel=GRANTED_LATER, email=who) | {"wait": "1 hour"}
        self.kitchen.recipe("order.completed", waits, gives_later)
        self.kitchen.recipe(
            "order.refunded", step("slack", "remove_from_channel", first, channel=GRANTED_LATER, email=who)
        )

    def get(self, app: str, connection_id: int, revision: int, credentials: bytes) -> Slack:
        """As ClientCache does."""
        return self._slacks.setdefault(connection_id, Slack(self))

    # ── What can happen ──────────────────────────────────────────────────────────────────────────────────

    def sell(self, buyer: int, _: int) -> None:
        """A buyer orders."""
        self.kitchen.later(seconds=2)
        name = f"order_{len(self.orders)}"
        self.orders[name] = BUYERS[buyer % 2]
        self.kitchen.deliver("order.completed", order(len(self.orders) - 1, BUYERS[buyer % 2]))

    def refund(self, which: int, names_buyer: int) -> None:
        """An order is refunded; the event may name nobody, and is on a lane of its own then."""
        left = [name for name in self.orders if name not in self.refunded]
        if not left:
            return
        self.kitchen.later(seconds=2)
        name = left[which % len(left)]
        self.refunded.append(name)
        customer = {"email": self.orders[name]} if names_buyer % 2 else {}
        refund = {"id": f"re_{name}", "amount": 64.99, "status": "succeeded"}
        self.kitchen.deliver("order.refunded", {"order": {"id": name}, "refund": refund, "customer": customer})

    def upset(self, which: int, mood: int) -> None:
        """A connection's next call goes wrong."""
        self.get("slack", self.connections[which % 3], 1, b"").moods.append(MOODS[mood % len(MOODS)])

    def wait(self, which: int, _: int) -> None:
        """Time passes."""
        self.kitchen.later(seconds=(1, 6, 40, 700, 4_000)[which % 5])

    def turn(self, limit: int, _: int) -> None:
        """The engine works; what it has under way at once comes back in any order."""
        claimed = self.kitchen.claim(limit=1 + limit % 4)
        self.kitchen.settle([self._perform(each) for each in reversed(claimed)])

    def crash(self, limit: int, done: int) -> None:
        """The engine dies after some of its calls, and before it has noted any."""
        claimed = self.kitchen.claim(limit=1 + limit % 4)
        for each in claimed[: done % 3]:
            self._perform(each)
        self._another()
        self.kitchen.recover(only_lease=self.kitchen.lease)

    def freeze(self, limit: int, done: int) -> None:
        """The engine stands still after some of its calls, until another takes its runs for lost; perhaps for ever."""
        claimed = self.kitchen.claim(limit=1 + limit % 4)
        self._frozen.append(([self._perform(each) for each in claimed[: done % 3]], claimed[done % 3 :]))
        self._another()
        self.kitchen.later(seconds=LEASE.total_seconds() + 1)
        self.kitchen.recover()

    def thaw(self, _which: int, _how: int) -> None:
        """Those that stood still go on as if nothing had been: they make the calls that are theirs, and settle all."""
        for performed, claimed in self._frozen:
            self.kitchen.settle(performed + [self._perform(each) for each in claimed])
        self._frozen.clear()

    def _another(self) -> None:
        self._engines += 1
        self.kitchen.lease = f"engine-{self._engines}"

    def reconnect(self, which: int, _: int) -> None:
        """The merchant gives new credentials."""
        self.kitchen.release(self.connections[which % 3])

    def ask(self, which: int, what: int) -> None:
        """The merchant asks something of a run; what is not possible is refused."""
        made = self.kitchen.runs()
        if not made:
            return
        number = made[which % len(made)].id or 0
        request = (self.kitchen.run_again, self.kitchen.mark_done, self.kitchen.cancel)[what % 3]
        with contextlib.suppress(runs.RunRequestError):
            request(number)
            self.words[number] += 1

    def end(self) -> None:
        """All services are well, all connections active; the engine works until nothing is left."""
        for connection in self.connections:
            self.get("slack", connection, 1, b"").moods.clear()
            self.kitchen.release(connection)
        for _ in range(200):
            claimed = self.kitchen.claim()
            self.kitchen.settle([self._perform(each) for each in claimed])
            if not set(self.kitchen.states()) & set(UNFINISHED_STATES):
                return
            if not claimed:
                self.kitchen.later(hours=25)

    def _perform(self, claimed: Claimed) -> runs.Performed:
        self.present = claimed
        return self.kitchen.perform(claimed, lambda: self.kitchen.holds(claimed))


STEPS = {each.__name__: each for each in (
    World.sell, World.refund, World.upset, World.wait, World.turn, World.crash, World.reconnect, World.ask,
    World.freeze, World.thaw,
)}  # fmt: skip


# What a story is mostly made of; else too few of them come to anything.
OFTEN = [*STEPS, "sell", "upset", "turn", "turn"]


@contextmanager
def _a_world(new_database: NewDatabase) -> Iterator[World]:
    with new_database() as engine:
        vault = Vault.from_keys(["a key of forty characters, or rather more"])
        with transaction(engine) as session:
            merchant = Merchant(name="Acme", created_at=NOW)
            session.add(merchant)
            session.flush()
            endpoint = Endpoint(merchant_id=merchant.id or 0, token="t", created_at=NOW)
            session.add(endpoint)
        yield World(lambda world: Kitchen(engine, vault, endpoint, {}, clients=world))


STORIES = st.lists(st.tuples(st.sampled_from(OFTEN), st.integers(0, 11), st.integers(0, 11)), min_size=20, max_size=40)


@both_databases
def test_order_and_number_of_effects(new_database: NewDatabase, database_url: str) -> None:
    """Sales and refunds of two buyers over three connections, with all that can go wrong."""

    @settings(max_examples=4 if database_url else 12, deadline=None)
    @given(STORIES)
    def holds(story: list[tuple[str, int, int]]) -> None:
        _play(new_database, story)

    holds()


def _play(new_database: NewDatabase, story: list[tuple[str, int, int]]) -> None:
    with _a_world(new_database) as world:
        for name, which, how in story:
            STEPS[name](world, which, how)
        world.end()
        ended = world.kitchen.runs()
        assert not {run.state for run in ended} & set(UNFINISHED_STATES)
        by_itself = [
            each for each in world.effects if not world.words[each.claimed.run_id] and not _is_again(ended, each)
        ]
        for lane, has_waited in {(each.lane, each.has_waited) for each in by_itself}:
            places = [each.place for each in by_itself if (each.lane, each.has_waited) == (lane, has_waited)]
            assert places == sorted(places), f"out of order on {lane}"
        for each in world.effects:
            if each.has_waited:
                assert each.at >= each.claimed.received_at + timedelta(minutes=1), "done before its wait was over"
        posted = Counter(each.claimed.run_id for each in world.effects if each.what == "post")
        for number, count in posted.items():
            assert count <= 1 + world.words[number], f"run {number} posted {count} times"
        _nobody_is_let_back_in(world)
        for run in ended:
            if run.state == RunState.SUCCEEDED and not world.words[run.id or 0]:
                assert any(each.claimed.run_id == run.id for each in world.effects), f"run {run.id} did nothing"


def _is_again(ended: list[Any], effect: Effect) -> bool:
    return any(run.id == effect.claimed.run_id and run.again for run in ended)


def _nobody_is_let_back_in(world: World) -> None:
    """After the refund of an order has put its buyer out, no sale of the same order lets them in, whatever waited."""
    out: set[tuple[str, str]] = set()
    for each in world.effects:
        if each.what == "kick":
            out.add((each.channel, each.order))
        elif each.what == "invite":
            assert (each.channel, each.order) not in out, f"{each.order} is back in {each.channel}"
