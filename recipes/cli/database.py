"""`pocketwire migrate`: the database's schema."""

import click

from recipes.cli.workplace import Workplace
from recipes.db import open_database
from recipes.migrations import migrate as bring_up
from recipes.moved import check_in_use


@click.command()
@click.pass_obj
def migrate(work: Workplace) -> None:
    """Bring the database to this version; a new one is made. `serve` does it by itself.

    \b
    Example: pocketwire migrate
    """
    database = open_database(work.settings.database)
    try:
        check_in_use(database)
        applied = bring_up(database)
    finally:
        database.dispose()
    click.echo(f"Applied: {', '.join(applied)}." if applied else "The database is up to date.")
