"""`pocketwire account …`: people who sign in, and their store."""

import click
from sqlmodel import select

from recipes.accounts import change_password, change_store, create_account, create_account_in
from recipes.cli.workplace import Refused, Workplace, for_merchant, read_secret
from recipes.db import reading, transaction
from recipes.models import Merchant

FIRST_STORE = "My store"


@click.group()
def account() -> None:
    """People who sign in, and their store."""


@account.command()
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--merchant", metavar="NAME", help="The store that it belongs to; made if there is none of that name.")
@click.pass_obj
def create(work: Workplace, email: str, password_stdin: bool, merchant: str | None) -> None:
    """Make an account, and with it a store.

    \b
    Example: pocketwire account create ada@example.com --password-stdin < password.txt
    """
    password = read_secret("Password", password_stdin)
    with transaction(work.engine) as session:
        stores = list(session.exec(select(Merchant).order_by(Merchant.name)))
        if merchant is None and stores:
            listed = ", ".join(store.name for store in stores)
            raise Refused(f"Choose the store with --merchant; a new name makes a new one. ({listed})")
        name = merchant or FIRST_STORE
        there = next((store for store in stores if store.name == name), None)
        if there:
            made = create_account_in(session, there, email, password, work.now())
        else:
            made = create_account(session, email, password, name, work.now())
    click.echo(f"{made.email} can sign in at {work.settings.public_url} and belongs to {name}.")


@account.command()
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def password(work: Workplace, email: str, password_stdin: bool) -> None:
    """Set a new password; whoever is signed in with the account is signed out.

    \b
    Example: pocketwire account password ada@example.com --password-stdin < password.txt
    """
    new = read_secret("New password", password_stdin)
    with transaction(work.engine) as session:
        changed = change_password(session, email, new)
    click.echo(f"{changed.email} has a new password.")


@account.command()
@click.option("--name", metavar="NAME", help="The name to give it.")
@click.option("--time-zone", metavar="ZONE", help="The time zone that its pages show times in.")
@for_merchant
@click.pass_obj
def store(work: Workplace, name: str | None, time_zone: str | None, merchant: str | None) -> None:
    """Print the store's name and time zone, after changing what is given.

    \b
    Example: pocketwire account store --name "My books" --time-zone Europe/Berlin
    """
    owner = work.merchant_id(merchant)
    if name is not None or time_zone is not None:
        with transaction(work.engine) as session:
            there = session.get_one(Merchant, owner)
            change_store(
                session,
                owner,
                there.name if name is None else name,
                there.time_zone if time_zone is None else time_zone,
            )
    with reading(work.engine) as session:
        there = session.get_one(Merchant, owner)
    click.echo(f"{there.name}: {there.time_zone}")
