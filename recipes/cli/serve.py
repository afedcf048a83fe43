"""`pocketwire serve` and the engine's process that it keeps."""

import logging
import os

import click

from recipes.accounts import first_run_token
from recipes.cli.workplace import Failed, Workplace
from recipes.db import open_database, transaction
from recipes.engine_process import AlreadyRunning, run_engine
from recipes.migrations import migrate
from recipes.service import serve as serve_until_stopped

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command()
@click.option("--host", help="The address to listen on, instead of POCKETWIRE_BIND's.")
@click.option("--port", type=click.IntRange(1, 65_535), help="The port to listen on, instead of POCKETWIRE_BIND's.")
@click.pass_obj
def serve(work: Workplace, host: str | None, port: int | None) -> None:
    """Serve: the receiver, the pages and the engine, until SIGTERM or Ctrl-C.

    Example: pocketwire serve --host 0.0.0.0 --port 8080
    """
    settings = work.settings
    given_host, _, given_port = settings.bind.rpartition(":")
    bind = f"{host or given_host}:{port or given_port}"
    # Its children read the environment as this process did.
    os.environ["POCKETWIRE_BIND"] = bind
    settings = work.load()
    _set_up_logging()
    database = open_database(settings.database)
    migrate(database)
    with transaction(database) as session:
        token = first_run_token(session, work.now())
    database.dispose()
    click.echo(f"Pocketwire serves on {settings.public_url}")
    if token:
        click.echo(f"Make the first account here: {settings.public_url}/first-run/{token}")
    serve_until_stopped(settings)


@click.command(hidden=True)
@click.pass_obj
def engine(work: Workplace) -> None:
    """Run the engine alone. `serve` starts it by itself.

    Example: pocketwire engine
    """
    _set_up_logging()
    try:
        run_engine(work.settings)
    except AlreadyRunning as error:
        raise Failed(f"The engine cannot start: {error}.") from None


def _set_up_logging() -> None:
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    # They write addresses and more at INFO.
    for name in ("apscheduler", "urllib3", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
