"""`pocketwire …`: everything that the pages do, from a terminal."""

from typing import Any

import click
from sqlalchemy.exc import OperationalError

from integrations.errors import ActionError
from integrations.kit import FormError
from recipes.accounts import AccountError
from recipes.cli.account import account
from recipes.cli.activity import cancel, events, mark_done, run_again, runs, show_ledger
from recipes.cli.connection import connection
from recipes.cli.database import migrate
from recipes.cli.endpoint import endpoint
from recipes.cli.recipe import recipe
from recipes.cli.send import send
from recipes.cli.serve import engine, serve
from recipes.cli.workplace import Refused, Workplace
from recipes.connections import ConnectionInUse
from recipes.cookbook import CookbookError
from recipes.endpoints import EndpointError
from recipes.engine import RunRequestError
from recipes.migrations import MigrationError
from recipes.settings import SettingError

# Errors whose text is a sentence for whoever asked.
_SENTENCES = (
    AccountError,
    ActionError,
    ConnectionInUse,
    CookbookError,
    EndpointError,
    FormError,
    MigrationError,
    RunRequestError,
    SettingError,
)


class _Commands(click.Group):
    """Answers what cannot be done with one sentence and exit code 2, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except _SENTENCES as error:
            raise Refused(str(error)) from None
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else ctx.command_path
            raise Refused(f"{error.format_message().rstrip('.')}. See {where} --help.") from None
        except OperationalError as error:
            raise Refused(f"The database cannot be used just now: {error.orig}.") from None


@click.group(cls=_Commands)
@click.version_option(package_name="pocketwire", prog_name="pocketwire")
@click.pass_context
def main(context: click.Context) -> None:
    """No-code automations for merchants who sell on Pocketsflow."""
    context.obj = context.obj or Workplace()


COMMANDS: tuple[click.Command, ...] = (
    account,
    endpoint,
    connection,
    recipe,
    events,
    runs,
    run_again,
    mark_done,
    cancel,
    show_ledger,
    send,
    migrate,
    serve,
    engine,
)
for each in COMMANDS:
    main.add_command(each)
