"""What the buyers order, which receiver is told of it, and what it answered."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from recipes.chaos.verdict import Answers

BUYERS = 24
THREADS = 4
SHARE_BUYING = 0.3
SHARE_AGAIN = 0.1

# An order's name, and when it was sold: whoever tells of it again says the same.
Told = tuple[str, str]


class Sales:
    """Each buyer's orders are told to one receiver, one after another, and now and then to another once more.

    receivers: by name the file into which it writes what it answered. rounds: how often each buyer may order from one
    start of a receiver to its end.
    """

    def __init__(
        self, choose: random.Random, now: Callable[[], datetime], receivers: Mapping[str, Path], rounds: int
    ) -> None:
        self.answers = Answers()
        self._random = choose
        self._now = now
        self._files = receivers
        self._rounds = rounds
        self._last = dict.fromkeys(range(BUYERS), 0)
        self._sold_at: dict[str, str] = {}
        self._told: dict[str, Sequence[Sequence[Told]]] = {}
        self._read = dict.fromkeys(receivers, 0)

    def tell(self, receiver: str) -> Sequence[Sequence[Told]]:
        """What the next process is given that receives, for each of its threads.

        What got no answer is sent again, or never: both happen, and both must be well.
        """
        place = list(self._files).index(receiver)
        now = self._now()
        lists: list[list[str]] = [[] for _ in range(THREADS)]
        for turn in range(self._rounds):
            at = (now + timedelta(milliseconds=turn)).isoformat()
            for buyer in range(BUYERS):
                mine = lists[buyer // len(self._files) % THREADS]
                if buyer % len(self._files) == place:
                    mine += self._orders(buyer, at)
                elif turn == 0 and self._random.random() < SHARE_AGAIN / 2:
                    mine += self._again(buyer)
        told = [[(order, self._sold_at[order]) for order in mine] for mine in lists]
        self._told[receiver] = told
        return told

    def _orders(self, buyer: int, at: str) -> list[str]:
        found = []
        doubtful = self.answers.doubtful_of(buyer)
        if doubtful and self._random.random() < 0.5:
            found.append(doubtful)
        elif self._random.random() < SHARE_AGAIN:
            found += self._again(buyer)
        if self._random.random() < SHARE_BUYING:
            self._last[buyer] += 1
            found.append(f"b{buyer}-{self._last[buyer]:06d}")
            self._sold_at.setdefault(found[-1], at)
        return found

    def _again(self, buyer: int) -> list[str]:
        answered = self.answers.any_of(buyer, self._random)
        return [answered] if answered else []

    def learn(self, receiver: str) -> None:
        """What it answered before its end; of each thread, the first order without an answer is in doubt."""
        file = self._files[receiver]
        text = file.read_bytes()[self._read[receiver] :] if file.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        self._read[receiver] += len(whole)
        answered = [line.split() for line in whole.decode().splitlines()]
        for order, receipt in answered:
            self.answers.add(order, receipt)
        given = {order for order, _ in answered}
        for mine in self._told.pop(receiver, ()):
            missing = [order for order, _ in mine if order not in given]
            for order in missing[:1]:
                self.answers.doubt(order)
            for order in missing[1:]:
                self._put_back(order)

    def _put_back(self, order: str) -> None:
        """Nobody was told of it: its name is free, if none after it was used."""
        buyer, number = int(order[1 : order.index("-")]), int(order[order.index("-") + 1 :])
        if order not in self.answers:
            self._last[buyer] = min(self._last[buyer], number - 1)
