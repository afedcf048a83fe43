"""The processes that are killed. A nursery has all imported already and forks them: that takes a few milliseconds.

Run as `python -m recipes.chaos.victims`, with the place as its argument. Each line it reads is one wish, each line it
writes the answer; it ends with its input, and every victim ends with it.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from recipes.chaos.place import SPEED, Place
from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import open_database
from recipes.inbox import CannotAccept, Inbox
from recipes.mail import Mailer
from recipes.migrations import migrate
from recipes.settings import Settings, load_settings
from recipes.spool import Delivery, Spool
from recipes.vault import Vault

LOCK_SECONDS = 0.02
LONGEST_REST = 0.008
CALLING_THREADS = 12


def main() -> None:
    """Answers wishes until there are no more."""
    place = Place.from_text(sys.argv[1])
    settings = load_settings(
        _env_file=None,
        data_dir=place.data_dir,
        credentials_key=place.key,
        api_base=place.api_base,
        engine_threads=CALLING_THREADS,
    )
    roles: dict[str, Callable[[dict[str, Any]], None]] = {
        "engine": lambda wish: _work(place, settings, wish["ahead"]),
        "inbox": lambda wish: _accept(place, settings, wish["ahead"], wish["orders"]),
        "migrate": lambda wish: _migrate(wish["database"]),
    }
    # What is there now stays shared: the collector does not touch it in every child.
    gc.freeze()
    for line in sys.stdin:
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


def _work(place: Place, settings: Settings, ahead: float) -> None:
    clock = EmbeddedClock(
        open_database(settings.database),
        settings,
        ClientCache(Vault.from_keys(settings.sealing_keys()), settings.api_base),
        Mailer(settings),
        now=lambda: place.now(ahead),
    )
    signal.signal(signal.SIGTERM, lambda *_: clock.stop())
    threading.Thread(target=_tick, args=(clock,), daemon=True).start()
    clock.run()


def _tick(clock: EmbeddedClock) -> None:
    # In place of the receiver's wake and of the look every second, of which there are more here.
    while True:
        clock.wake()
        time.sleep(1 / SPEED)


def _accept(place: Place, settings: Settings, ahead: float, orders: Sequence[Sequence[str]]) -> None:
    """Accepts each list of orders in a thread of its own, and writes down what it answered.

    Ends when told to, or killed: as long as it lives it may bring in the spool.
    """
    database = open_database(settings.database, wait_seconds=LOCK_SECONDS)
    inbox = Inbox(database, Spool(settings.spool), wake=lambda: None)
    answers = os.open(place.data_dir / "answers", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def deliver(mine: Sequence[str], rest: float) -> None:
        for order in mine:
            try:
                receipt = inbox.accept(delivery(order, place.now(ahead)))
            except CannotAccept:
                return
            # One write, so that it stands there whole or not at all.
            os.write(answers, f"{order} {receipt}\n".encode())
            if stopping.wait(rest):
                return

    threads = [
        threading.Thread(target=deliver, args=(mine, LONGEST_REST * (1 + number) / len(orders)), daemon=True)
        for number, mine in enumerate(orders)
    ]
    for thread in threads:
        thread.start()
    stopping.wait()
    inbox.close()


def _migrate(database: str) -> None:
    engine = open_database(database)
    migrate(engine)
    engine.dispose()


def delivery(order: str, now: datetime) -> Delivery:
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
        timestamp_header=str(round(now.timestamp() * 1000)),
        received_at=now,
    )


if __name__ == "__main__":
    main()
