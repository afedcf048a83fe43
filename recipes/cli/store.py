"""`pocketwire store …`: the stores of an installation."""

import click

from recipes import engine
from recipes.accounts import merchant_named
from recipes.cli.workplace import Refused, Workplace
from recipes.db import transaction
from recipes.models import Merchant


@click.group()
def store() -> None:
    """The stores: suspend one, let it go on."""


@store.command()
@click.argument("name")
@click.pass_obj
def suspend(work: Workplace, name: str) -> None:
    """Let nothing of a store run. What comes in is still taken and kept, and runs once the store is resumed.

    \b
    Example: pocketwire store suspend 'Acme Books'
    """
    with transaction(work.engine) as session:
        found = merchant_named(session, name)
        if found.suspended_at is not None:
            raise Refused(f"{found.name} is suspended already, since {found.suspended_at:%d %B %Y, %H:%M} UTC.")
        engine.suspend(session, _number(found), now=work.now())
    click.echo(f"{found.name} is suspended: what comes in is kept, nothing runs. pocketwire store resume ends it.")


@store.command()
@click.argument("name")
@click.pass_obj
def resume(work: Workplace, name: str) -> None:
    """Let a suspended store go on: what came meanwhile runs now, in its order.

    \b
    Example: pocketwire store resume 'Acme Books'
    """
    with transaction(work.engine) as session:
        found = merchant_named(session, name)
        if found.suspended_at is None:
            raise Refused(f"{found.name} is not suspended.")
        engine.resume(session, _number(found), now=work.now())
    click.echo(f"{found.name} goes on: what came meanwhile runs now, in its order.")


def _number(merchant: Merchant) -> int:
    if merchant.id is None:
        raise ValueError("the merchant is not stored")
    return merchant.id
