"""From a delivery to the call that it causes: how many a second, and how soon."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from benchmarks import deliveries
from benchmarks.client import Answers, send
from benchmarks.installation import API_KEY, STORES, THREADS, Serving, StandIn, install, service_standing_in
from benchmarks.stand_in import SECONDS
from benchmarks.table import Row, median, milliseconds, quantile
from integrations import integration, kit
from recipes.db import open_database
from recipes.rows import MerchantRows

WARM_UP = 200
CALM = 1_000


def measure(folder: Path, count: int, rounds: int) -> Iterator[Row]:
    """A burst through the whole service, beside the same calls by a plain pool of threads; then 100 events a second.

    Each event has one recipe, whose one step adds a subscriber at a service that takes 50 ms to answer.
    """
    installation = install(folder / "calling")
    database = open_database(f"sqlite:///{installation.file}")
    ours, plain, calm = [], [], []
    with service_standing_in(folder) as service, installation.serving(service.port) as serving:
        burst(serving, service, installation.endpoints, WARM_UP)
        for _ in range(rounds):
            plain.append(plain_pool(service, database, count))
            ours.append(burst(serving, service, installation.endpoints, count).events)
            calm.append(at_100_a_second(serving, service, installation.endpoints))
    database.dispose()
    yield Row(
        f"{count:,} events at once to a service that takes 50 ms, end to end",
        f"{median(ours):,.0f}/s",
        f"the same calls by {THREADS} plain threads: {median(plain):,.0f}/s; nothing lost or doubled",
        median(a / b for a, b in zip(ours, plain, strict=True)),
        "at least 0.7",
    )
    middle = sorted(calm, key=lambda each: quantile(each, 0.99))[len(calm) // 2]
    yield Row("event sent to first call made, at 100 a second", milliseconds(middle), aim="p50 12 ms, p99 40 ms")


@dataclass(frozen=True)
class Burst:
    """Deliveries accepted a second, and events a second from the first one sent to the last answer of the service."""

    accepted: float
    events: float


def burst(serving: Serving, service: StandIn, endpoints: Sequence[tuple[str, str]], count: int) -> Burst:
    """So many deliveries at once, each of which makes one call. Raises RuntimeError if one is lost or doubled."""
    bodies = [deliveries.body() for _ in range(count)]
    answers = send(serving.port, deliveries.requests(bodies, endpoints))
    calls = _each_once(service, bodies, answers)
    return Burst(answers.per_second, count / (max(calls.values()) + SECONDS - answers.sent_at[0]))


def at_100_a_second(serving: Serving, service: StandIn, endpoints: Sequence[tuple[str, str]]) -> list[float]:
    """Seconds from each event's sending to its call."""
    bodies = [deliveries.body() for _ in range(CALM)]
    answers = send(serving.port, deliveries.requests(bodies, endpoints), rate=100)
    calls = _each_once(service, bodies, answers)
    return [calls[deliveries.buyer(body)] - sent for body, sent in zip(bodies, answers.sent_at, strict=True)]


def _each_once(service: StandIn, bodies: Sequence[bytes], answers: Answers) -> dict[str, float]:
    """When the call about each buyer came. Raises RuntimeError if one was lost or doubled."""
    if answers.accepted != len(bodies):
        raise RuntimeError(f"not every delivery was accepted: {dict(answers.statuses)}")
    calls = service.wait_for(len(bodies))
    found = {whom: when for when, whom in calls}
    if len(calls) != len(bodies) or found.keys() != {deliveries.buyer(body) for body in bodies}:
        raise RuntimeError(f"{len(bodies)} events made {len(calls)} calls about {len(found)} buyers")
    return found


def plain_pool(service: StandIn, database: Engine, count: int) -> float:
    """Calls a second by as many threads as the engine has, with as many clients and nothing else to do."""
    mailchimp = integration("mailchimp")
    credentials = kit.validate(mailchimp.credentials, {"api_key": API_KEY})
    clients = [mailchimp.connect(credentials, f"http://127.0.0.1:{service.port}/3.0") for _ in range(STORES)]
    action, now = mailchimp.action("add_subscriber"), datetime.now(UTC)
    rows = MerchantRows(database, 1, lambda: now)

    def call(number: int) -> None:
        values: dict[str, Any] = {"audience": "a1b2c3", "email": f"buyer-{number}@example.com", "first_name": "Jane"}
        form = kit.validate(action.form, values)
        action.perform(kit.Call(clients[number % STORES], f"plain-{number}", now, rows), form)

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(call, range(count)):
            pass
    calls = [when for when, _ in service.wait_for(count)]
    return count / (max(calls) + SECONDS - min(calls))
