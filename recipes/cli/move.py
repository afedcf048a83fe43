"""`pocketwire move`: from SQLite to PostgreSQL."""

import os
import sys

import click

from recipes.cli.workplace import Failed, Refused, Workplace
from recipes.db import UNAVAILABLE
from recipes.engine_process import lock_engine
from recipes.moving import DiffersError, Move, shown
from recipes.service import folder_held
from recipes.settings import Settings
from recipes.spool import Spool


@click.command()
@click.option(
    "--to",
    "address",
    required=True,
    metavar="URL",
    help="An empty PostgreSQL database, as postgresql://user:password@host/database; - reads the address from standard "
    "input, as others see arguments.",
)
@click.pass_obj
def move(work: Workplace, address: str) -> None:
    """Move an installation from SQLite to PostgreSQL. Stop the service first.

    Everything is copied, then compared row by row; SQLite's file stays as it is. It can be stopped at any moment, and
    goes on where it was when it is run again.

    \b
    Example: pocketwire move --to - < address.txt
    """
    settings = work.settings
    if settings.is_postgresql:
        raise Refused(
            "DATABASE_URL names a PostgreSQL already, and what is moved is a SQLite database: leave DATABASE_URL out, "
            "or set it to the sqlite:/// that is to be moved."
        )
    to = (sys.stdin.read() if address == "-" else address).strip()
    with folder_held(settings.data_dir):
        lock = lock_engine(settings.data_dir)
        try:
            Move(settings.database, to, Spool(settings.spool), work.now, click.echo).run()
        except DiffersError as error:
            raise Failed(
                f"These rows are not the same in both databases, so nothing was switched over:\n{error}\n"
                "Run it again with a new, empty database, and tell us if this happens again."
            ) from None
        except UNAVAILABLE as error:
            reason = " ".join(str(getattr(error, "orig", error)).split())
            raise Failed(f"A database went away ({reason}). Run it again: it goes on where it was.") from None
        finally:
            os.close(lock)
    _say_what_next(settings, to)


def _say_what_next(settings: Settings, to: str) -> None:
    keys = []
    for name, given, file in (
        ("POCKETWIRE_SECRET_KEY", settings.secret_key, "secret-key"),
        ("POCKETWIRE_CREDENTIALS_KEY", settings.credentials_key, "credentials-key"),
    ):
        path = (settings.data_dir / file).resolve()
        keys.append(f"       {name}: {'as it is set here' if given else f'what stands in {path}'}")
    lines = [
        "",
        "Moved: every row is the same in both databases. What to do next:",
        f"  1. Set DATABASE_URL to the address that you gave: {shown(to)}, with its password.",
        "  2. Keep the keys: without them the stored secrets do not open. On this machine nothing has to be done as",
        "     long as the data directory stays; on every other one set the same",
        *keys,
        "  3. Start pocketwire serve. On more machines: pocketwire serve --no-engine, pocketwire worker.",
        "SQLite's file is as it was, and is not served any more. To go back to it, without what comes from now on,",
        f"delete {settings.database.removeprefix('sqlite:///')}.moved and leave DATABASE_URL out.",
    ]
    if kept := Spool(settings.spool).set_aside_count():
        lines.append(f"In {settings.spool.resolve()} {kept} files wait for you to look at them, as before.")
    click.echo("\n".join(lines))
