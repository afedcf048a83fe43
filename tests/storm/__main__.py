"""A storm in full size, for whoever wants to see it: `make storm`. Prints what came of it, with the machine's figures.

A tenth of the deliveries go to connections that answer 429, then 500, and then hang until the engine gives up on them
(30 s each). When all deliveries are in and the calls have hung for a while the services are well again, and every run
has to come to its end.
"""

import math
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tests.storm.storm import WELL, Storm


@click.command()
@click.option("--deliveries", default=10_000, show_default=True, help="How many, over all.")
@click.option("--seconds", default=60.0, show_default=True, help="In how many seconds they come.")
@click.option("--hang", default=45.0, show_default=True, help="For how many seconds more the services hang.")
@click.option("--troubled", default=10, show_default=True, help="How many connections are in trouble; 0 to compare.")
@click.option("--patience", default=600.0, show_default=True, help="For how many seconds the end is waited for.")
def main(deliveries: int, seconds: float, hang: float, troubled: int, patience: float) -> None:
    """Let a storm come over a service of its own."""
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(Path(folder), troubled=troubled, busy=20, broken=20)
        try:
            _run(storm, deliveries, seconds, hang, patience)
        finally:
            storm.close()


def _run(storm: Storm, deliveries: int, seconds: float, hang: float, patience: float) -> None:
    storm.send("order.completed", 1)
    time.sleep(2)
    before = storm.memory()
    began = time.monotonic()
    troubled, reviews = deliveries // 10, min(40, deliveries // 100)
    sales = deliveries - troubled - reviews
    # Reviews and buyers first, so that services hang while the sales come.
    due = iter(range(deliveries))
    lock = threading.Lock()

    def rest() -> None:
        with lock:
            at = began + seconds * next(due, 0) / deliveries
        time.sleep(max(at - time.monotonic(), 0))

    for event, number in (("review.created", reviews), ("customer.created", troubled), ("order.completed", sales)):
        storm.send(event, number, rest)
    took = time.monotonic() - began
    at_once = storm.memory()
    time.sleep(hang)
    states = storm.states()
    click.echo(f"{deliveries:,} deliveries in {took:.1f} s; answered: {dict(storm.answers)}")
    click.echo(f"  answer         {_shares(storm.waits)}")
    click.echo(f"  sale to call   {_shares(storm.pace())}")
    click.echo(f"  calls made     well {len(storm.stand_in.answered(WELL)):,}, all {len(storm.stand_in.calls):,}")
    click.echo(f"  hung at once   {max(storm.stand_in.most_hanging.values(), default=0)} on one connection at most")
    click.echo(f"  memory, MB     before {before}, after the rush {at_once}, after the hanging {storm.memory()}")
    click.echo(f"  states         {_readable(states)}")
    storm.stand_in.heal()
    if not _has_ended(storm, patience):
        click.echo(f"  not ended      {_readable(storm.states())}")
        sys.exit(1)
    click.echo(f"  in the end     {_readable(storm.states())}; memory, MB {storm.memory()}")


def _has_ended(storm: Storm, patience: float) -> bool:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if not {state for each in storm.states().values() for state in each} & {"queued", "running", "waiting"}:
            return True
        time.sleep(2)
    return False


def _readable(states: object) -> str:
    return str(states).replace("Counter", "").replace("(", "").replace(")", "")


def _shares(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] * 1000

    return f"p50 {at(0.5):.0f} ms, p99 {at(0.99):.0f} ms, longest {at(1):.0f} ms"


if __name__ == "__main__":
    main()
