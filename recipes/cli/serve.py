"""`pocketwire serve`: the whole service."""

import os
from importlib import import_module
from ipaddress import ip_address

import click

from recipes.accounts import first_run_token
from recipes.addresses import bind_text
from recipes.cli.workplace import Refused, Workplace
from recipes.db import open_database, transaction
from recipes.forking import open_standard_files
from recipes.logs import set_up_logging
from recipes.moved import check_in_use
from recipes.service import place_held
from recipes.service import serve as serve_both

# What both sides need: imported once the service may start, and before they part, it is there once for both.
_SHARED = (
    "recipes.endpoint_cache",
    "recipes.inbox",
    "recipes.clocks.embedded",
    "recipes.connections",
    "recipes.cookbook",
)


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
@click.option("--no-engine", is_flag=True, help="Only the receiver and the pages; `worker`s run the recipes.")
@click.pass_obj
def serve(work: Workplace, host: str | None, port: int | None, no_engine: bool) -> None:
    """Serve: the receiver, the pages and the engine, until SIGTERM or Ctrl-C.

    Example: pocketwire serve --host 0.0.0.0 --port 8080
    """
    open_standard_files()
    settings = work.settings
    if no_engine and not settings.is_postgresql:
        raise Refused("--no-engine needs PostgreSQL: set DATABASE_URL. On SQLite there would be nobody to run recipes.")
    given_host, given_port = settings.listens_on
    # Its children read the environment as this process did.
    os.environ["POCKETWIRE_BIND"] = bind_text(host or given_host, port or given_port)
    settings = work.load()
    set_up_logging()
    with place_held(settings.data_dir, *settings.listens_on):
        work.bring_up()
        token = first_run(work)
        click.echo(f"Pocketwire serves on {settings.public_url}")
        if token:
            click.echo(f"Make the first account here: {settings.public_url}/first-run/{token}")
        for each in _SHARED:
            import_module(each)
        serve_both(*settings.listens_on, None if no_engine else settings.sign_of_life)


def first_run(work: Workplace) -> str | None:
    """The first-run link's token while there is no account. Raises Moved if a move has begun meanwhile."""
    database = open_database(work.settings.database)
    try:
        with transaction(database) as session:
            token = first_run_token(session, work.now())
        # Once more: a move into this database that began meanwhile is found, or finds that link or the account.
        check_in_use(database)
        return token
    finally:
        database.dispose()
