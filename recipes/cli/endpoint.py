"""`pocketwire endpoint …`: where Pocketsflow delivers."""

from datetime import timedelta

import click

from recipes.cli.workplace import Workplace, for_merchant, for_side, read_secret
from recipes.db import transaction
from recipes.endpoints import OVERLAP, delivery_url, endpoint_of
from recipes.endpoints import set_secret as keep_secret
from recipes.models import Mode


@click.group()
def endpoint() -> None:
    """Where Pocketsflow delivers: the address and the signing secret."""


@endpoint.command()
@for_merchant
@for_side
@click.pass_obj
def show(work: Workplace, merchant: str | None, mode: str) -> None:
    """Print the delivery address to enter at Pocketsflow.

    \b
    Example: pocketwire endpoint show
    """
    with transaction(work.engine) as session:
        found = endpoint_of(session, work.merchant_id(merchant, session), Mode(mode), work.now())
    click.echo(delivery_url(work.settings, found))
    if found.secret is None:
        click.echo("Pocketsflow's signing secret is not set yet: pocketwire endpoint set-secret", err=True)


@endpoint.command("set-secret")
@click.option("--end-old-now", is_flag=True, help="Stop taking the secret before at once, not after a day.")
@for_merchant
@for_side
@click.pass_obj
def set_secret(work: Workplace, end_old_now: bool, merchant: str | None, mode: str) -> None:
    """Take the signing secret that Pocketsflow showed, from standard input.

    \b
    Example: pocketwire endpoint set-secret < secret.txt
    """
    secret = read_secret("Signing secret", from_stdin=False)
    with transaction(work.engine) as session:
        found = endpoint_of(session, work.merchant_id(merchant, session), Mode(mode), work.now())
        keep_secret(session, work.vault, found, secret, work.now(), timedelta(0) if end_old_now else OVERLAP)
    kept = " Those before stay good for a day." if found.previous_until else ""
    click.echo(f"The signing secret is saved.{kept}")
