"""Whether the promises were kept: from what was answered, what is stored, and what arrived at the services."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, text

from recipes.chaos.place import RECIPES
from recipes.chaos.standin import PAGE, Call, Fate
from recipes.inbox import Receipt

_LISTED = 20
# The recipes in the order that `place` makes them in; of the two messages only Slack can tell whether it is there.
_SLACK, _DISCORD, _MAILCHIMP, _LEDGER = range(1, RECIPES + 1)
_REACHED_THE_SERVICE = (Fate.DONE, Fate.ANSWER_LOST)


class Answers:
    """What the inbox answered to whom."""

    def __init__(self) -> None:
        self.receipts: Counter[str] = Counter()
        self.answered: set[str] = set()
        self._doubtful: dict[int, str] = {}

    def __contains__(self, order: str) -> bool:
        return order in self.answered

    def add(self, order: str, receipt: str) -> None:
        """It was answered 2xx."""
        self.receipts[receipt] += 1
        self.answered.add(order)

    def doubt(self, order: str) -> None:
        """It was sent, and the answer never came."""
        if order not in self.answered:
            self._doubtful[int(order[1 : order.index("-")])] = order

    def doubtful_of(self, buyer: int) -> str | None:
        """The buyer's order that got no answer, if the last inbox left one; asked for once."""
        return self._doubtful.pop(buyer, None)

    def any_of(self, buyer: int, choose: random.Random) -> str | None:
        """One of the buyer's orders that were answered, if there is one."""
        mine = sorted(order for order in self.answered if order.startswith(f"b{buyer}-"))
        return choose.choice(mine) if mine else None


class Services(Protocol):
    """What the stand-ins saw."""

    @property
    def calls(self) -> Sequence[Call]:
        """The calls in the order they arrived."""

    @property
    def looks(self) -> int:
        """How often Slack was asked whether a message is there."""


@dataclass
class Report:
    """What happened, and what must not have happened: each of the latter is a sentence."""

    killed: Mapping[str, int]
    seconds: float
    answered: int
    receipts: Mapping[str, int]
    stored: int
    runs: Mapping[str, int]
    calls: int
    looks: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(self.killed.values())

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or done in the wrong order."""
        return not (self.lost or self.doubled or self.out_of_order)

    def text(self) -> str:
        """For people: a line for each figure, then what went wrong."""
        spooled = self.receipts.get(Receipt.SPOOLED, 0)
        pace = self.kills / max(self.seconds, 0.001)
        deliveries = sum(self.receipts.values())
        lines = [
            f"kills          {self.kills} in {self.seconds:.1f} s ({pace:.1f} per second): {_counted(self.killed)}",
            f"answered       {deliveries} deliveries of {self.answered} orders, {spooled} of them kept in the spool",
            f"stored         {self.stored} orders",
            f"runs           {_counted(self.runs)}",
            f"calls          {self.calls}, and {self.looks} looks whether a message was there",
            f"unsure         {self.runs.get('unsure', 0)}",
        ]
        for word, found in (("lost", self.lost), ("doubled", self.doubled), ("out of order", self.out_of_order)):
            lines.append(f"{word:<15}{len(found)}")
            lines += [f"  {sentence}" for sentence in found[:_LISTED]]
        if self.is_good:
            lines.append("Nothing was lost, doubled or done in the wrong order. Unsure: the merchant would be asked.")
        return "\n".join(lines)


def _counted(each: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(each.items()))


def judge(
    database: Connection, answers: Answers, services: Services, *, killed: Mapping[str, int], seconds: float
) -> Report:
    """The report. The work must have come to its end. killed: how many, by what they were."""
    numbers = _stored(database)
    runs = _runs(database)
    report = Report(
        killed=killed,
        seconds=seconds,
        answered=len(answers.answered),
        receipts=answers.receipts,
        stored=len(numbers),
        runs=Counter(state for state in runs.values()),
        calls=len(services.calls),
        looks=services.looks,
    )
    report.lost += [f"{order} was answered 2xx and is not stored" for order in sorted(answers.answered - set(numbers))]
    report.doubled += [f"{order} is stored {len(each)} times" for order, each in numbers.items() if len(each) > 1]
    _judge_runs(report, numbers, runs, services.calls, _rows(database), _given_up(database))
    report.out_of_order += _out_of_order(services.calls)
    report.lost += [
        f"{order} was told to {app} and is not stored"
        for app, order in sorted({(call.app, call.order) for call in services.calls if call.order not in numbers})
    ]
    return report


def _judge_runs(
    report: Report,
    numbers: Mapping[str, Sequence[int]],
    runs: Mapping[tuple[int, int], str],
    calls: Iterable[Call],
    rows: set[tuple[str, str]],
    given_up: set[tuple[int, int]],
) -> None:
    fates: dict[tuple[str, str], list[Fate]] = defaultdict(list)
    in_the_channel = []
    for call in calls:
        fates[call.app, call.order].append(call.fate)
        if call.app == "slack" and call.fate in _REACHED_THE_SERVICE:
            in_the_channel.append(call.order)
    # What has so many after it may have been past the page by the time that it was looked for.
    on_the_page = set(in_the_channel[-PAGE:])
    for order, each in numbers.items():
        states = [runs.get((each[0], recipe), "missing") for recipe in range(1, RECIPES + 1)]
        for recipe, state in enumerate(states, 1):
            if state not in ("succeeded", "unsure"):
                report.lost.append(f"{order}: the run of recipe {recipe} is {state}")
        for app, recipe in (("slack", _SLACK), ("discord", _DISCORD)):
            got = [fate for fate in fates[app, order] if fate != Fate.REFUSED]
            if len(got) > 1:
                report.doubled.append(f"{order}: told to {app} {len(got)} times")
            if states[recipe - 1] == "succeeded" and not set(got) & set(_REACHED_THE_SERVICE):
                report.lost.append(f"{order}: taken as told to {app}, which never had it")
        if states[_SLACK - 1] == "unsure" and order in on_the_page and (each[0], _SLACK) not in given_up:
            report.lost.append(f"{order}: the merchant is asked about a message that Slack could tell of")
        added = set(fates["mailchimp", order]) & set(_REACHED_THE_SERVICE)
        if states[_MAILCHIMP - 1] == "succeeded" and not added:
            report.lost.append(f"{order}: mailchimp never had it")
        for table, recipe in (("Posted", _SLACK), ("Orders", _LEDGER)):
            if states[recipe - 1] == "succeeded" and (table, order) not in rows:
                report.lost.append(f"{order}: no row in {table}")


def _out_of_order(calls: Iterable[Call]) -> list[str]:
    """Calls about one buyer that came after a call about a later order. Trying the same one again is well."""
    latest: dict[tuple[str, str], str] = {}
    found = []
    for call in calls:
        lane = (call.app, call.order.partition("-")[0])
        if call.order < latest.get(lane, ""):
            found.append(f"{call.order} was told to {call.app} after {latest[lane]}")
        latest[lane] = max(call.order, latest.get(lane, ""))
    return found


def _stored(database: Connection) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, body in database.execute(text("SELECT id, body FROM event ORDER BY id")):
        numbers[json.loads(body)["order"]["id"]].append(number)
    return numbers


def _runs(database: Connection) -> dict[tuple[int, int], str]:
    return {
        (event, recipe): state
        for event, recipe, state in database.execute(text("SELECT event_id, recipe_id, state FROM run"))
    }


def _given_up(database: Connection) -> set[tuple[int, int]]:
    """The runs that were interrupted so often that the merchant was asked at once."""
    found = database.execute(
        text("SELECT event_id, recipe_id FROM run WHERE state = 'unsure' AND outcome LIKE '%in a row%'")
    )
    return {(event, recipe) for event, recipe in found}


def _rows(database: Connection) -> set[tuple[str, str]]:
    return {(table, key) for table, key in database.execute(text('SELECT "table", "key" FROM ledger_row'))}
