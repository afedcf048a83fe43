"""The processes that are killed. A nursery has all imported already and forks them: that takes a few milliseconds.

Run as `python -m recipes.chaos.victims`. The first line it reads is the place, each later one a wish, each line it
writes the answer; it ends with its input, and every victim ends with it.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any

from recipes.chaos.place import SPEED, Place, sign_of_work
from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import open_database
from recipes.inbox import CannotAccept, Inbox
from recipes.mail import Mailer
from recipes.migrations import migrate
from recipes.settings import Settings, load_settings
from recipes.sign_of_life import SignOfLife
from recipes.spool import Delivery, Spool
from recipes.upkeep import empty_spool
from recipes.vault import Vault

# As long as a receiver waits for SQLite's lock, and for one of PostgreSQL's.
LOCK_SECONDS, POSTGRESQL_LOCK_SECONDS = 0.02, 0.5
SPOOL_SECONDS = 0.5
CALLING_THREADS = 12
# A turn of a worker takes longer, and there are more of them.
TICK, WORKER_TICK = 1 / SPEED, 12 / SPEED
# What a worker does by its place's time, in that; what it does by the system's, in that.
RHYTHM = {"lease": 2.0 * SPEED, "renewal": 0.4, "heartbeat": 0.4, "poll": 0.2}
EVERY_SECOND = "* * * * * *"


def main() -> None:
    """Answers wishes until there are no more."""
    place = Place.from_text(sys.stdin.readline())
    # Only there are its parts sure to be installed. Once imported here, they are in every child.
    distributed = import_module("recipes.clocks.distributed") if place.postgresql else None
    roles: dict[str, Callable[[dict[str, Any]], None]] = {
        "engine": lambda wish: _run(_engine(place, wish), TICK),
        "worker": lambda wish: _run(_worker(distributed, place, wish), WORKER_TICK),
        "inbox": lambda wish: _accept(place, wish),
        "migrate": lambda wish: _migrate(wish["database"]),
    }
    # What is there now stays shared: the collector does not touch it in every child.
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        wish = json.loads(line)
        if wish["do"] == "reap":
            answer = os.waitstatus_to_exitcode(os.waitpid(wish["pid"], 0)[1])
        else:
            answer = _fork(roles[wish["do"]], wish)
        print(answer, flush=True)  # noqa: T201 - the answer to whoever reads


def _fork(role: Callable[[dict[str, Any]], None], wish: dict[str, Any]) -> int:
    nursery = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        threading.Thread(target=_end_with, args=(nursery,), daemon=True).start()
        role(wish)
    except BaseException:  # noqa: BLE001 - a child must never go on as a second nursery
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _end_with(nursery: int) -> None:
    while os.getppid() == nursery:
        time.sleep(0.2)
    os._exit(1)


def _settings(place: Place, machine: str) -> Settings:
    return load_settings(
        _env_file=None,
        data_dir=place.machine(machine),
        database_url=place.postgresql,
        credentials_key=place.key,
        api_base=place.api_base,
        engine_threads=CALLING_THREADS,
    )


def _clock(kind: Any, place: Place, wish: Mapping[str, Any], **given: Any) -> Any:
    settings = _settings(place, wish["machine"])
    return kind(
        open_database(settings.database),
        settings,
        ClientCache(Vault.from_keys(settings.sealing_keys()), settings.api_base),
        Mailer(settings),
        now=lambda: place.now(wish["ahead"]),
        works=SignOfLife(sign_of_work(settings.data_dir)).give,
        **given,
    )


def _engine(place: Place, wish: Mapping[str, Any]) -> EmbeddedClock:
    clock: EmbeddedClock = _clock(EmbeddedClock, place, wish)
    return clock


def _worker(distributed: Any, place: Place, wish: Mapping[str, Any]) -> Any:
    return _clock(
        distributed.DistributedClock,
        place,
        wish,
        rhythm=distributed.Rhythm(**RHYTHM, recovery=EVERY_SECOND, upkeep=EVERY_SECOND),
        database_time=lambda _: place.now(wish["ahead"]),
    )


def _run(clock: Any, tick: float) -> None:
    signal.signal(signal.SIGTERM, lambda *_: clock.stop())
    threading.Thread(target=_wake, args=(clock, tick), daemon=True).start()
    clock.run()


def _wake(clock: Any, tick: float) -> None:
    # In place of the receiver's wake, and of the look every second or the job in time, of which there are more here.
    while True:
        clock.wake()
        time.sleep(tick)


def _accept(place: Place, wish: Mapping[str, Any]) -> None:
    """Accepts each list of orders in a thread of its own, and writes down what it answered.

    Ends when told to, or killed: as long as it lives it may bring in the spool.
    """
    settings = _settings(place, wish["machine"])
    patience = POSTGRESQL_LOCK_SECONDS if settings.is_postgresql else LOCK_SECONDS
    database = open_database(settings.database, wait_seconds=patience)
    inbox = Inbox(database, Spool(settings.spool), lambda: None, monotonic=lambda: SPEED * time.monotonic())
    answers = os.open(settings.data_dir / "answers", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def deliver(mine: Sequence[tuple[str, str]], rest: float) -> None:
        for order, sold_at in mine:
            at = datetime.fromisoformat(sold_at)
            try:
                receipt = inbox.accept(delivery(order, at, place.now(wish["ahead"])))
            except CannotAccept:
                return
            # One write, so that it stands there whole or not at all.
            os.write(answers, f"{order} {receipt}\n".encode())
            if stopping.wait(rest):
                return

    lists = wish["orders"]
    for number, mine in enumerate(lists, 1):
        rest = wish["rest"] * number / len(lists)
        threading.Thread(target=deliver, args=(mine, rest), daemon=True).start()
    while settings.is_postgresql and not stopping.wait(SPOOL_SECONDS):
        # As the web side does; on SQLite it is the engine's.
        empty_spool(database, Spool(settings.spool))
    stopping.wait()
    inbox.close()


def _migrate(database: str) -> None:
    engine = open_database(database)
    migrate(engine)
    engine.dispose()


def delivery(order: str, sold_at: datetime, received_at: datetime) -> Delivery:
    """A sale as Pocketsflow tells it; the order's name begins with its buyer's."""
    buyer = order.partition("-")[0]
    body = {
        "order": {"id": order},
        "amount": 9.5,
        "currency": "usd",
        "customer": {"email": f"{buyer}@example.com"},
    }
    return Delivery(
        endpoint_id=1,
        merchant_id=1,
        mode="live",
        body=json.dumps(body).encode(),
        event_header="order.completed",
        timestamp_header=str(round(sold_at.timestamp() * 1000)),
        received_at=received_at,
    )


if __name__ == "__main__":
    main()
