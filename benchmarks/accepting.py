"""Durable accepts a second, and how long an answer takes; beside the limit of the stack and what everyone writes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import deliveries, rivals
from benchmarks.client import Answers, send
from benchmarks.installation import install
from benchmarks.processes import free_port, running
from benchmarks.table import Row, median, milliseconds, quantile

AT_ONCE = 64
FEW = 1_000  # for what is slow


@dataclass
class _Rounds:
    """What each of the three did, round by round."""

    ours: list[Answers] = field(default_factory=list)
    verifying: list[Answers] = field(default_factory=list)
    one_transaction: list[Answers] = field(default_factory=list)


def measure(folder: Path, count: int, rounds: int) -> Iterator[Row]:
    """Each round runs all three, one after the other; the medians of their figures and of their ratios."""
    installation = install(folder / "accepting", stores=1, recipes=False)
    ports = {"verifying": free_port(), "one_transaction": free_port()}
    with ExitStack() as stack:
        serving = stack.enter_context(installation.serving())
        for name, port in ports.items():
            database = str(folder / "rival.db")
            stack.enter_context(
                running("benchmarks.rivals", name, str(port), port=port, folder=folder, RIVAL_DATABASE=database)
            )
        for keep_alive in (False, True):
            found = _Rounds()
            for _ in range(rounds):
                found.verifying.append(_rival(ports["verifying"], count, keep_alive))
                found.ours.append(_send(serving.port, installation.endpoints, count, keep_alive))
                found.one_transaction.append(_rival(ports["one_transaction"], FEW, keep_alive))
            yield from _rows(found, keep_alive)
        calm = [
            send(serving.port, _made(installation.endpoints, FEW, False), rate=200, at_once=AT_ONCE)
            for _ in range(rounds)
        ]
        worst = median(quantile(each.seconds, 0.99) for each in calm)
        yield Row(
            "answer at 200 a second",
            milliseconds([second for each in calm for second in each.seconds]),
            f"p99 of the middle round {worst * 1000:.1f} ms",
            aim="p99 under 5 ms",
        )


def _rows(found: _Rounds, keep_alive: bool) -> Iterator[Row]:
    way = "keep-alive" if keep_alive else "a connection for each"
    ours, limit, usual = (
        median(each.per_second for each in rounds) for rounds in (found.ours, found.verifying, found.one_transaction)
    )
    yield Row(f"verified only, nothing stored, {way} (the stack's and this client's limit)", f"{limit:,.0f}/s")
    yield Row(
        f"accepted on disk, {way}",
        f"{ours:,.0f}/s",
        f"verified only: {limit:,.0f}/s",
        median(a.per_second / b.per_second for a, b in zip(found.ours, found.verifying, strict=True)),
        "0.29 (10,000 of 35,000)" if keep_alive else "at least 0.4",
    )
    yield Row(
        "",
        f"{ours:,.0f}/s",
        f"a Flask route with one ORM transaction: {usual:,.0f}/s",
        median(a.per_second / b.per_second for a, b in zip(found.ours, found.one_transaction, strict=True)),
        "" if keep_alive else "at least 12",
    )
    yield Row(
        f"answer at full burst, {way}",
        milliseconds([second for each in found.ours for second in each.seconds]),
        f"the Flask route: {milliseconds([second for each in found.one_transaction for second in each.seconds])}",
        aim="p99 under 30 ms",
    )


def _made(endpoints: Sequence[tuple[str, str]], count: int, keep_alive: bool) -> list[bytes]:
    return deliveries.requests([deliveries.body() for _ in range(count)], endpoints, keep_alive=keep_alive)


def _send(port: int, endpoints: Sequence[tuple[str, str]], count: int, keep_alive: bool) -> Answers:
    answers = send(port, _made(endpoints, count, keep_alive), at_once=AT_ONCE, keep_alive=keep_alive)
    if answers.accepted != count:
        raise RuntimeError(f"not every delivery was accepted: {dict(answers.statuses)}")
    return answers


def _rival(port: int, count: int, keep_alive: bool) -> Answers:
    # Those that it does not take in time are its own loss, and count as not accepted.
    endpoints = [(rivals.PATH, rivals.SECRET)]
    return send(port, _made(endpoints, count, keep_alive), at_once=AT_ONCE, keep_alive=keep_alive)
