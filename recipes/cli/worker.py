"""`pocketwire worker`: runs recipes beside others."""

import click

from recipes.cli.workplace import Refused, Workplace
from recipes.engine_process import run_worker
from recipes.logs import set_up_logging


@click.command()
@click.pass_obj
def worker(work: Workplace) -> None:
    """Work: run recipes beside other workers, on this machine or others, until SIGTERM or Ctrl-C. Needs PostgreSQL.

    Example: pocketwire worker
    """
    if not work.settings.is_postgresql:
        raise Refused("A worker needs PostgreSQL: set DATABASE_URL. On SQLite `pocketwire serve` has the one engine.")
    set_up_logging()
    work.bring_up()
    click.echo("A worker is at work.")
    run_worker(work.settings)
