"""Starts victims, kills them at random moments, and lets what is left come to its end."""

import contextlib
import json
import os
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recipes.chaos.place import Place, furnish
from recipes.chaos.standin import StandIn
from recipes.chaos.verdict import Answers, Report, judge

BUYERS = 24
THREADS = 4
SHARE_BUYING = 0.3
LONGEST_LIFE = 0.06
LONGEST_LOCK = 0.05
LONGEST_END = 300.0
A_DAY = 86_400.0
_TARGETS = {("engine",): 5, ("inbox",): 3, ("engine", "inbox"): 2}


class VictimFailed(Exception):
    """A process ended by itself, or otherwise than it was told to. Its output is in the folder's `log`."""


class Nursery:
    """The process that forks victims (see `victims`)."""

    def __init__(self, place: Place) -> None:
        # None of the operator's settings: they name databases and services that are not to be touched.
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("POCKETWIRE_", "DATABASE_URL"))}
        with (Path(place.folder) / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "recipes.chaos.victims", place.text()],
                cwd=place.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=kept,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def fork(self, role: str, **wish: Any) -> int:
        """A new victim's number."""
        return self._ask({"do": role, **wish})

    def end(self, pid: int, how: signal.Signals) -> None:
        """Ends a victim and waits for it. Raises VictimFailed if it ended differently."""
        os.kill(pid, how)
        code = self._ask({"do": "reap", "pid": pid})
        # SIGTERM may come before a victim listens for it.
        if code not in (-how, 0 if how == signal.SIGTERM else -how):
            raise VictimFailed(f"a process ended by itself with exit code {code}")

    def _ask(self, wish: Mapping[str, Any]) -> int:
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the nursery has pipes")
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise VictimFailed("the process that starts the others has ended")
        return int(answer)


class Chaos:
    """One go. folder: a new one, for this alone. seconds: after which no more is killed, however few it were."""

    def __init__(self, folder: Path, *, seed: int, kills: int, seconds: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chaos, not secrets
        self._kills = kills
        self._seconds = seconds
        self._services = StandIn(seed)
        self._place = Place(str(folder), self._services.url, secrets.token_hex(32), time.time())
        self._answers = Answers()
        self._victims: dict[str, int] = {}
        self._last = dict.fromkeys(range(BUYERS), 0)
        self._sent: Sequence[Sequence[str]] = ()
        self._read = 0
        self._ahead = 0.0

    def run(self) -> Report:
        """Kills, waits for the end, and judges."""
        began = time.monotonic()
        killed = 0
        furnish(self._place)
        with contextlib.closing(self._services), Nursery(self._place) as nursery:
            while killed < self._kills and time.monotonic() - began < self._seconds:
                killed += self._kill_once(nursery)
            took = time.monotonic() - began
            if "inbox" in self._victims:
                nursery.end(self._victims.pop("inbox"), signal.SIGTERM)
                self._learn()
            if "engine" in self._victims:
                nursery.end(self._victims.pop("engine"), signal.SIGTERM)
            self._come_to_an_end(nursery)
        with contextlib.closing(sqlite3.connect(self._place.file)) as database:
            return judge(database, self._answers, self._services, kills=killed, seconds=took)

    def _kill_once(self, nursery: Nursery) -> int:
        """Lets everything live for a moment, then kills a part of it; how many processes."""
        if "engine" not in self._victims:
            self._victims["engine"] = nursery.fork("engine", ahead=self._ahead)
        if "inbox" not in self._victims:
            self._sent = self._orders()
            self._victims["inbox"] = nursery.fork("inbox", ahead=self._ahead, orders=self._sent)
        if self._random.random() < 0.1:
            with _locked(self._place.file):
                time.sleep(self._random.uniform(0, LONGEST_LOCK))
        time.sleep(self._random.uniform(0, LONGEST_LIFE))
        targets = self._random.choices(list(_TARGETS), list(_TARGETS.values()))[0]
        for target in targets:
            nursery.end(self._victims.pop(target), signal.SIGKILL)
        if "inbox" in targets:
            self._learn()
        if "engine" in targets:
            self._services.read_all()
        return len(targets)

    def _orders(self) -> list[list[str]]:
        """What the next inbox is given, for each of its threads: a buyer's orders come one after another.

        What got no answer is sent again, or never: both happen, and both must be well.
        """
        lists: list[list[str]] = [[] for _ in range(THREADS)]
        for buyer in range(BUYERS):
            mine = lists[buyer % THREADS]
            doubtful = self._answers.doubtful_of(buyer)
            if doubtful and self._random.random() < 0.5:
                mine.append(doubtful)
            elif self._random.random() < 0.1 and (again := self._answers.any_of(buyer, self._random)):
                mine.append(again)
            if self._random.random() < SHARE_BUYING:
                self._last[buyer] += 1
                mine.append(f"b{buyer}-{self._last[buyer]:06d}")
        return lists

    def _learn(self) -> None:
        """What the inbox answered before its end; of each thread, the first order without an answer is in doubt."""
        file = self._place.data_dir / "answers"
        text = file.read_bytes()[self._read :] if file.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        answered = [line.split() for line in whole.decode().splitlines()]
        for order, receipt in answered:
            self._answers.add(order, receipt)
        given = {order for order, _ in answered}
        for mine in self._sent:
            missing = [order for order in mine if order not in given]
            for order in missing[:1]:
                self._answers.doubt(order)
            for order in missing[1:]:
                self._put_back(order)
        self._sent = ()

    def _put_back(self, order: str) -> None:
        buyer, number = int(order[1 : order.index("-")]), int(order[order.index("-") + 1 :])
        if order not in self._answers:
            self._last[buyer] = min(self._last[buyer], number - 1)

    def _come_to_an_end(self, nursery: Nursery) -> None:
        """Lets engines work until nothing is left to do; none is killed any more. Time is moved on to the next try."""
        deadline = time.monotonic() + LONGEST_END
        while not self._is_done() and time.monotonic() < deadline:
            engine = nursery.fork("engine", ahead=self._ahead)
            until = time.monotonic() + 3.0
            while not self._is_done() and time.monotonic() < min(until, deadline):
                time.sleep(0.02)
            nursery.end(engine, signal.SIGTERM)
            self._ahead += A_DAY

    def _is_done(self) -> bool:
        if next((self._place.data_dir / "spool").glob("*.jsonl"), None):
            return False
        with contextlib.closing(sqlite3.connect(self._place.file)) as database:
            waiting = "SELECT 1 FROM run WHERE state IN ('queued', 'running', 'waiting', 'held')"
            unseen = "SELECT 1 FROM event WHERE fanned_out_at IS NULL"
            return not (database.execute(waiting).fetchone() or database.execute(unseen).fetchone())


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds the database's write lock, as a backup or another program may: deliveries go to the spool."""
    with contextlib.closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as database:
        with contextlib.suppress(sqlite3.OperationalError):
            database.execute("BEGIN IMMEDIATE")
        yield
