"""`pocketwire serve`: the whole service."""

import os
from ipaddress import ip_address

import click

from recipes.accounts import first_run_token
from recipes.addresses import bind_text
from recipes.cli.workplace import Workplace
from recipes.db import open_database, transaction
from recipes.endpoints import check_secrets_open
from recipes.logs import set_up_logging
from recipes.migrations import migrate
from recipes.service import become_service, place_held
from recipes.settings import Settings


def _ip_address(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    if given is not None:
        try:
            ip_address(given.strip("[]"))
        except ValueError:
            raise click.BadParameter(
                "has to be an IP address: 127.0.0.1 for this machine alone, 0.0.0.0 for every network"
            ) from None
    return given


@click.command()
@click.option("--host", callback=_ip_address, help="The IP address to listen on, instead of POCKETWIRE_BIND's.")
@click.option("--port", type=click.IntRange(1, 65_535), help="The port to listen on, instead of POCKETWIRE_BIND's.")
@click.pass_obj
def serve(work: Workplace, host: str | None, port: int | None) -> None:
    """Serve: the receiver, the pages and the engine, until SIGTERM or Ctrl-C.

    Example: pocketwire serve --host 0.0.0.0 --port 8080
    """
    settings = work.settings
    given_host, given_port = settings.listens_on
    # Its children read the environment as this process did.
    os.environ["POCKETWIRE_BIND"] = bind_text(host or given_host, port or given_port)
    settings = work.load()
    set_up_logging()
    with place_held(settings.data_dir, *settings.listens_on):
        token = _prepare(work, settings)
        click.echo(f"Pocketwire serves on {settings.public_url}")
        if token:
            click.echo(f"Make the first account here: {settings.public_url}/first-run/{token}")
        become_service(*settings.listens_on, settings.sign_of_life)


def _prepare(work: Workplace, settings: Settings) -> str | None:
    """Brings keys and database up; the first-run link's token while there is no account. Raises Refusal."""
    settings.signing_key()
    database = open_database(settings.database)
    try:
        migrate(database)
        with transaction(database) as session:
            check_secrets_open(session, work.vault)
            return first_run_token(session, work.now())
    finally:
        database.dispose()
