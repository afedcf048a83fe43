"""`pocketwire bench`."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from benchmarks import accepting, calling, many, postgresql, scale, sizes, starting, together
from benchmarks.table import HEAD, Row, machine


def _benchmarks(count: int, rounds: int, stored: int, url: str | None) -> dict[str, Callable[[Path], Iterator[Row]]]:
    return {
        "accepting": lambda folder: accepting.measure(folder, count, rounds),
        "calling": lambda folder: calling.measure(folder, count // 4, rounds),
        "postgresql": lambda folder: postgresql.measure(folder, count // 4, rounds, url),
        "together": lambda folder: together.measure(folder, stored),
        "sizes": lambda folder: sizes.measure(folder, count * 5),
        "starting": lambda folder: starting.measure(folder, rounds),
        "many": lambda folder: many.measure(folder, stored),
        "scale": lambda folder: scale.measure(folder, stored, url),
    }


NAMES = list(_benchmarks(0, 0, 0, None))
# It needs PostgreSQL, and minutes for every million events.
ONLY_IF_NAMED = ("scale",)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--count", default=20_000, show_default=True, type=click.IntRange(100, 1_000_000), help="Deliveries.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100), help="Medians are of these.")
@click.option(
    "--stored",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(20_000, 100_000_000),
    help="How many events a large database has; each takes about 3 kB of disk.",
)
@click.option(
    "--postgresql",
    "url",
    metavar="URL",
    help="A server for `postgresql` and `scale` to make and remove databases on, as a superuser.",
)
def bench(names: Sequence[str], count: int, rounds: int, stored: int, url: str | None) -> None:
    """Measure what this machine can do, in a temporary folder; it takes some minutes.

    \b
    Example: pocketwire bench accepting
    """
    click.echo(f"{machine()}\n\n{HEAD}")
    for name, measure in _benchmarks(count, rounds, stored, url).items():
        if name in names or not (names or name in ONLY_IF_NAMED):
            with tempfile.TemporaryDirectory(prefix="pocketwire-bench-") as folder:
                for row in measure(Path(folder)):
                    click.echo(row.line())
