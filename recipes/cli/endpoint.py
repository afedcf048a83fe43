"""`pocketwire endpoint …`: where Pocketsflow delivers."""

from datetime import timedelta

import click

from recipes.cli.printing import moment, print_json
from recipes.cli.workplace import Workplace, as_json, for_merchant, for_side, read_secret
from recipes.db import transaction
from recipes.endpoints import OVERLAP, delivery_url, endpoint_of, last_delivery_at, on_earlier_secret, rejections
from recipes.endpoints import set_secret as keep_secret
from recipes.models import Mode


@click.group()
def endpoint() -> None:
    """Where Pocketsflow delivers: the address and the signing secret."""


@endpoint.command()
@as_json
@for_merchant
@for_side
@click.pass_obj
def show(work: Workplace, as_json: bool, merchant: str | None, mode: str) -> None:
    """Print the delivery address to enter at Pocketsflow.

    What else there is to know of it goes to standard error: a missing secret, the last delivery, refused ones.

    \b
    Example: pocketwire endpoint show
    """
    with transaction(work.engine) as session:
        found = endpoint_of(session, work.merchant_id(merchant, session), Mode(mode), work.now())
        last, refused = last_delivery_at(session, found), rejections(session, found)
        signed_before = on_earlier_secret(session, found) is not None
    overlap = found.previous_until if found.previous_until and found.previous_until > work.now() else None
    if as_json:
        print_json(
            {
                "address": delivery_url(work.settings, found),
                "mode": found.mode,
                "has_secret": found.secret is not None,
                "earlier_secrets_until": overlap,
                "is_signed_with_earlier_secret": signed_before,
                "last_delivery_at": last,
                "refused": [each.model_dump(include={"reason", "count", "first_at", "last_at"}) for each in refused],
            }
        )
        return
    click.echo(delivery_url(work.settings, found))
    if found.secret is None:
        click.echo("Pocketsflow's signing secret is not set yet: pocketwire endpoint set-secret", err=True)
    if overlap:
        click.echo(f"What was pasted before is good until {moment(overlap)}.", err=True)
    if overlap and signed_before:
        click.echo(
            "Pocketsflow still signs with an earlier secret: set the one that it shows for this address.", err=True
        )
    if last:
        click.echo(f"The last delivery came {moment(last)}.", err=True)
    for each in refused:
        deliveries = "1 delivery was" if each.count == 1 else f"{each.count} deliveries were"
        click.echo(
            f"{deliveries} refused since {moment(each.first_at)}: {each.reason}. The last came {moment(each.last_at)}.",
            err=True,
        )


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
