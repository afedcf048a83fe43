"""`pocketwire runs`, `events`, `run-again` and their like: what came in, what was done, what to do about it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from recipes import engine as runs_of_engine
from recipes import ledger
from recipes.cli.given import find_connection, find_recipe
from recipes.cli.printing import moment, print_json, print_table
from recipes.cli.workplace import Refused, Workplace, as_json, for_merchant
from recipes.db import reading, transaction
from recipes.events import canonical
from recipes.models import Mode, RunState

with_limit = click.option(
    "--limit",
    type=click.IntRange(1, ledger.LARGEST_PAGE),
    default=20,
    show_default=True,
    help="How many, newest first.",
)

with_before = click.option(
    "--before", "before_id", type=int, metavar="ID", help="Only those before this one, to go on with a long list."
)

with_all_the_same = click.option(
    "--all-the-same", is_flag=True, help="Also if the buyer was refunded, left or came back since."
)


@contextmanager
def _saying_how_to_insist() -> Iterator[None]:
    try:
        yield
    except runs_of_engine.UndoneSince as error:
        raise Refused(f"{error} If you want it all the same, add --all-the-same.") from None


@click.command()
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in RunState]),
    multiple=True,
    help="Only runs in this state; it can be given several times.",
)
@click.option("--recipe", metavar="NAME", help="Only runs of this recipe.")
@click.option("--connection", metavar="NAME", help="Only runs that use this connection.")
@with_limit
@with_before
@as_json
@for_merchant
@click.pass_obj
def runs(
    work: Workplace,
    states: Sequence[str],
    recipe: str | None,
    connection: str | None,
    limit: int,
    before_id: int | None,
    as_json: bool,
    merchant: str | None,
) -> None:
    """List what recipes did, the newest first.

    \b
    Example: pocketwire runs --state failed
    """
    with reading(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        recipe_id = find_recipe(session, owner, recipe).id if recipe else None
        connection_id = find_connection(session, owner, connection).id if connection else None
        found = ledger.runs_page(
            session, owner, before_id, limit, states=states, recipe_id=recipe_id, connection_id=connection_id
        ).items
    if as_json:
        print_json(found)
    elif not found:
        click.echo("No runs.")
    else:
        print_table(
            ("Id", "When", "Recipe", "State", "Outcome"),
            [(str(run.id), moment(run.created_at), run.recipe_title, run.state, _outcome(run)) for run in found],
        )


def _outcome(run: ledger.RunLine) -> str:
    return f"Waits until {moment(run.waits_until)}, as the recipe says." if run.waits_until else run.outcome


@click.command()
@click.option("--event", "type_name", metavar="EVENT", help="Only events of this type.")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="Only live or only test events.")
@click.option("--buyer", metavar="EMAIL", help="Only events about this buyer.")
@with_limit
@with_before
@as_json
@for_merchant
@click.pass_obj
def events(
    work: Workplace,
    type_name: str | None,
    mode: str | None,
    buyer: str | None,
    limit: int,
    before_id: int | None,
    as_json: bool,
    merchant: str | None,
) -> None:
    """List what Pocketsflow sent, the newest first.

    \b
    Example: pocketwire events --event order.completed
    """
    wanted = canonical(type_name) if type_name else None
    with reading(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        found = ledger.events_page(session, owner, before_id, limit, type=wanted, mode=mode, subject=buyer).items
    if as_json:
        print_json(found)
    elif not found:
        click.echo("No events.")
    else:
        print_table(
            ("Id", "When", "Event", "Who", "Outcome"),
            [(str(each.id), moment(each.received_at), each.type, each.subject or "", each.outcome) for each in found],
        )


@click.command("run-again")
@click.argument("run_id", type=int, metavar="ID")
@with_all_the_same
@for_merchant
@click.pass_obj
def run_again(work: Workplace, run_id: int, all_the_same: bool, merchant: str | None) -> None:
    """Run a run again; a failed one goes on where it stopped.

    \b
    Example: pocketwire run-again 42
    """
    with _saying_how_to_insist(), transaction(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        run = runs_of_engine.run_again(session, owner, run_id, now=work.now(), all_the_same=all_the_same)
    click.echo(f"Run {run.id} is {ledger.STATE_WORDS[run.state]}.")


@click.command("mark-done")
@click.argument("run_id", type=int, metavar="ID")
@with_all_the_same
@for_merchant
@click.pass_obj
def mark_done(work: Workplace, run_id: int, all_the_same: bool, merchant: str | None) -> None:
    """Say of a run that nobody is sure about that it was done.

    \b
    Example: pocketwire mark-done 42
    """
    with _saying_how_to_insist(), transaction(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        runs_of_engine.mark_done(session, owner, run_id, now=work.now(), all_the_same=all_the_same)
    click.echo(f"Run {run_id} is marked done.")


@click.command("run-late")
@click.argument("event_id", type=int, metavar="ID")
@for_merchant
@click.pass_obj
def run_late(work: Workplace, event_id: int, merchant: str | None) -> None:
    """Run an event that was kept because it came too late.

    Every recipe that was on for it runs. That may give back access that was taken away since, and write over a row
    that a refund had marked.

    \b
    Example: pocketwire run-late 42
    """
    with transaction(work.engine) as session:
        runs_of_engine.run_late(session, work.merchant_id(merchant, session), event_id, now=work.now())
    click.echo(f"Event {event_id} runs now.")


@click.command()
@click.argument("event_id", type=int, metavar="ID")
@for_merchant
@click.pass_obj
def leave(work: Workplace, event_id: int, merchant: str | None) -> None:
    """Leave an event that did not run as it is: nobody is told of it again.

    \b
    Example: pocketwire leave 42
    """
    with transaction(work.engine) as session:
        if not ledger.leave_event(session, work.merchant_id(merchant, session), event_id, work.now()):
            raise Refused(f"There is no event {event_id} that is kept and was not run.")
    click.echo(f"Event {event_id} is left as it is.")


@click.command()
@click.argument("run_id", type=int, metavar="ID")
@for_merchant
@click.pass_obj
def cancel(work: Workplace, run_id: int, merchant: str | None) -> None:
    """Cancel a run that waits, or set a failed one aside.

    \b
    Example: pocketwire cancel 42
    """
    with transaction(work.engine) as session:
        runs_of_engine.cancel(session, work.merchant_id(merchant, session), run_id, now=work.now())
    click.echo(f"Run {run_id} is cancelled.")


@click.command("ledger")
@click.argument("table", required=False)
@click.option("--delete", "key", metavar="KEY", help="Take the row with this key out of the table, for good.")
@for_merchant
@click.pass_obj
def show_ledger(work: Workplace, table: str | None, key: str | None, merchant: str | None) -> None:
    """List the Ledger's tables, or print one of them as CSV.

    \b
    Example: pocketwire ledger Orders > orders.csv
    """
    if key is not None:
        with transaction(work.engine) as session:
            if not table or not ledger.delete_key(session, work.merchant_id(merchant, session), table, key):
                raise Refused(f"There is no row {key} in a table called {table}." if table else "Name the table, too.")
        click.echo(f"The row {key} is deleted.")
        return
    with reading(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        there = ledger.tables(session, owner)
        if table is None:
            if not there:
                click.echo("No tables yet: they are made by the first recipe that writes to the Ledger.")
                return
            print_table(("Rows", "Table"), [(str(each.rows), each.name) for each in there])
            return
        if table not in {each.name for each in there}:
            raise Refused(f"There is no table called {table}.")
        for line in ledger.table_csv(session, owner, table):
            click.echo(line, nl=False)
