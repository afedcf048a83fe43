"""`pocketwire connection …`: the services that recipes use."""

from collections.abc import Sequence

import click

from integrations import INTEGRATIONS, integration
from integrations.errors import ActionError
from recipes import connections
from recipes.cli.given import ServiceGroup, find_connection, read_credentials, with_values
from recipes.cli.printing import moment, print_json, print_table
from recipes.cli.workplace import Failed, Workplace, as_json, for_merchant
from recipes.db import reading, transaction
from recipes.models import Connection, ConnectionState

_APPS = [each.name for each in INTEGRATIONS]


@click.group(cls=ServiceGroup)
def connection() -> None:
    """The services that recipes use."""


@connection.command()
@click.argument("app", type=click.Choice(_APPS))
@click.option("--name", metavar="NAME", help="What to call it; the service's name if not given.")
@with_values
@for_merchant
@click.pass_obj
def add(
    work: Workplace, app: str, name: str | None, values: Sequence[str], files: Sequence[str], merchant: str | None
) -> None:
    """Add a connection to a service.

    \b
    Example: pocketwire connection add slack --name "Our team" --set-file bot_token=token.txt
    """
    given = read_credentials(app, values, files)
    with transaction(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        made = connections.add(session, work.vault, owner, app, name or integration(app).title, given, work.now())
    click.echo(f"{made.name} is added. Try it: pocketwire connection check {made.id}")


@connection.command()
@click.argument("name")
@with_values
@for_merchant
@click.pass_obj
def change(work: Workplace, name: str, values: Sequence[str], files: Sequence[str], merchant: str | None) -> None:
    """Reconnect with new credentials; a secret not given stays as it is.

    NAME is a connection's name, its number, or service/name.

    \b
    Example: pocketwire connection change slack --set-file bot_token=token.txt
    """
    owner = work.merchant_id(merchant)
    with reading(work.engine) as session:
        app = find_connection(session, owner, name).app
    # Read before the transaction: standard input may keep it waiting.
    given = read_credentials(app, values, files)
    with transaction(work.engine) as session:
        found = find_connection(session, owner, name)
        values_now, before = {**connections.shown_values(work.vault, found), **given}, found.revision
        released = connections.change(session, work.vault, found, values_now, work.now())
    if found.revision == before:
        click.echo(
            f"{found.name} stays as it is: nothing new was given. Try it: pocketwire connection check {found.id}"
        )
        return
    waited = f" Runs that waited and now go on: {released}." if released else ""
    click.echo(f"{found.name} is changed.{waited}")


@connection.command()
@click.argument("name", required=False)
@for_merchant
@click.pass_obj
def check(work: Workplace, name: str | None, merchant: str | None) -> None:
    """Ask the service whether a connection works; all of them if no name is given.

    \b
    Example: pocketwire connection check slack
    """
    owner = work.merchant_id(merchant)
    with reading(work.engine) as session:
        chosen = [find_connection(session, owner, name)] if name else connections.of_merchant(session, owner)
    failures = 0
    for each in chosen:
        try:
            account = connections.check(work.engine, work.vault, work.settings, owner, each.id or 0, work.now())
        except ActionError as error:
            failures += 1
            click.echo(f"{each.name}: {error.sentence}", err=True)
        else:
            click.echo(f"{each.name}: works. {account}")
    if failures:
        raise Failed(f"{failures} of {len(chosen)} connections do not work.")


@connection.command("list")
@as_json
@for_merchant
@click.pass_obj
def list_(work: Workplace, as_json: bool, merchant: str | None) -> None:
    """List the connections.

    \b
    Example: pocketwire connection list
    """
    with reading(work.engine) as session:
        found = connections.of_merchant(session, work.merchant_id(merchant, session))
    if as_json:
        print_json([each.model_dump(exclude={"credentials", "merchant_id"}) for each in found])
    elif not found:
        click.echo(f"No connection yet. Services: {', '.join(_APPS)}.")
    else:
        print_table(
            ("Id", "Service", "Name", "Checked", "State"),
            [(str(each.id), each.app, each.name, moment(each.checked_at), _state(each)) for each in found],
        )


@connection.command()
@click.argument("name")
@for_merchant
@click.pass_obj
def remove(work: Workplace, name: str, merchant: str | None) -> None:
    """Remove a connection and its credentials.

    \b
    Example: pocketwire connection remove slack
    """
    with transaction(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        found = find_connection(session, owner, name)
        connections.remove(session, owner, found.id or 0)
    click.echo(f"{found.name} is removed.")


def _state(connection: Connection) -> str:
    if connection.state == ConnectionState.PAUSED:
        return f"paused: {connection.paused_reason}"
    if connections.needs_no_credentials(connection.app):
        return "built in, needs nothing"
    return connection.account or "not checked yet"
