"""`pocketwire engine`: the engine's process, which `serve` keeps."""

import os

import click

from recipes.cli.logs import set_up_logging
from recipes.cli.workplace import Failed, Workplace
from recipes.engine_process import AlreadyRunning, run_engine


@click.command(hidden=True)
@click.option("--parent", type=int, help="The process without which it ends; this one's parent if not given.")
@click.pass_obj
def engine(work: Workplace, parent: int | None) -> None:
    """Run the engine alone. `serve` starts it by itself.

    Example: pocketwire engine
    """
    set_up_logging()
    try:
        run_engine(work.settings, parent or os.getppid())
    except AlreadyRunning as error:
        raise Failed(f"The engine cannot start: {error}.") from None
