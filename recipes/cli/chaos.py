"""`pocketwire chaos`: proves on this machine that nothing is lost or doubled, whatever ends when."""

import secrets
import shutil
import tempfile
from pathlib import Path

import click

from recipes.chaos import Chaos, VictimFailed
from recipes.cli.workplace import Failed


@click.command()
@click.option("--kills", type=click.IntRange(1, 1_000_000), default=2_000, show_default=True, help="How many.")
@click.option(
    "--seed", type=click.IntRange(0), help="Repeats the choices of an earlier go; one at random if not given."
)
@click.option(
    "--seconds", type=click.IntRange(1), default=1_800, show_default=True, help="After which no more is killed."
)
def chaos(kills: int, seed: int | None, seconds: int) -> None:
    """Kill the inbox and the engine at random, and look whether anything was lost or doubled.

    It works on a data directory of its own in a temporary folder, with stand-ins for the services: yours are not
    touched. What the processes find at a given moment differs from go to go, also with the same seed. The exit code is
    1 if anything went wrong; the folder is then kept.

    \b
    Example: pocketwire chaos --kills 200
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed           {seed}")
    folder = Path(tempfile.mkdtemp(prefix="pocketwire-chaos-"))
    try:
        report = Chaos(folder, seed=seed, kills=kills, seconds=seconds).run()
    except VictimFailed as error:
        raise Failed(f"It did not come to its end: {error}. Look at {folder / 'log'}.") from None
    click.echo(report.text())
    if not report.is_good:
        raise Failed(f"A promise was broken. All there is to look at is in {folder}.")
    shutil.rmtree(folder)
