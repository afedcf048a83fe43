"""`pocketwire …`: everything that the pages do, from a terminal."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from sqlalchemy.exc import DatabaseError, OperationalError

from recipes.cli.workplace import Refused, Workplace
from recipes.refusal import Refusal

# Each command's place. They are imported when they are called: `serve` has to be quick, and needs none of the others.
COMMANDS: Mapping[str, str] = {
    "status": "recipes.cli.status:status",
    "account": "recipes.cli.account:account",
    "store": "recipes.cli.store:store",
    "endpoint": "recipes.cli.endpoint:endpoint",
    "connection": "recipes.cli.connection:connection",
    "recipe": "recipes.cli.recipe:recipe",
    "events": "recipes.cli.activity:events",
    "event": "recipes.cli.details:event",
    "runs": "recipes.cli.activity:runs",
    "run": "recipes.cli.details:run",
    "run-again": "recipes.cli.activity:run_again",
    "run-late": "recipes.cli.activity:run_late",
    "leave": "recipes.cli.activity:leave",
    "mark-done": "recipes.cli.activity:mark_done",
    "cancel": "recipes.cli.activity:cancel",
    "ledger": "recipes.cli.activity:show_ledger",
    "send": "recipes.cli.send:send",
    "migrate": "recipes.cli.database:migrate",
    "move": "recipes.cli.move:move",
    "serve": "recipes.cli.serve:serve",
    "worker": "recipes.cli.worker:worker",
    "chaos": "recipes.cli.chaos:chaos",
    "bench": "benchmarks.command:bench",
}


class _Commands(click.Group):
    """Answers what cannot be done with one sentence and exit code 2, never with a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, as help lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except Refusal as error:
            raise Refused(str(error)) from None
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else ctx.command_path
            raise Refused(f"{error.format_message().rstrip('.')}. See {where} --help.") from None
        except OperationalError as error:
            raise Refused(f"The database cannot be used just now: {error.orig}.") from None
        except DatabaseError as error:
            # Its subclasses are mistakes of ours; this one itself says that the file is none, or is broken.
            if type(error) is not DatabaseError:
                raise
            raise Refused(
                f"The database cannot be used ({error.orig}): look at DATABASE_URL, or at the data directory."
            ) from None


@click.group(cls=_Commands)
@click.version_option(package_name="pocketwire", prog_name="pocketwire")
@click.pass_context
def main(context: click.Context) -> None:
    """No-code automations for merchants who sell on Pocketsflow."""
    context.obj = context.obj or Workplace()
    context.call_on_close(context.obj.close)
