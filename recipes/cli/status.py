"""`pocketwire status`: how things are, for people and for whatever watches over the service."""

import shlex

import click

from recipes import cookbook, ledger
from recipes.cli.printing import harmless, print_json, print_table
from recipes.cli.workplace import Workplace, as_json, for_merchant
from recipes.db import reading


@click.command()
@as_json
@for_merchant
@click.pass_obj
def status(work: Workplace, as_json: bool, merchant: str | None) -> None:
    """Say what needs you, and the last seven days in numbers.

    The exit code is 0 if nothing needs anyone, 1 if something does, 2 if that cannot be told.

    \b
    Example: pocketwire status
    """
    with reading(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        counted = ledger.counters(session, owner, work.now())
        items = ledger.needs_attention(session, owner, work.now())
        entries = [entry for group in cookbook.shelf(session, owner) for entry in group.entries if entry.recipe_id]
        offers = [(recipe.name, recipe.title, kept) for recipe, kept in cookbook.offers(session, owner)]
    recipes_on = sum(entry.enabled for entry in entries)
    if as_json:
        kept = [{"recipe": name, "count": each.count, "is_more": each.is_more} for name, _, each in offers]
        print_json({"recipes_on": recipes_on, "counters": counted, "needs_you": items, "kept": kept})
    else:
        names = {entry.recipe_id: entry.name for entry in entries}
        for_store = f" --merchant {shlex.quote(merchant)}" if merchant else ""
        _show(counted, recipes_on)
        click.echo("\nWhat needs you:" if items else "\nNothing needs you.")
        for item in items:
            click.echo(harmless(f"- {item.sentence} {item.note}".rstrip()))
            click.echo(f"  {_fix(item, names)}{for_store}")
        if offers:
            click.echo("\nKept while a recipe was off:")
        for name, title, each in offers:
            click.echo(harmless(f"- “{title}”: {each.sentence}"))
            click.echo(f"  pocketwire recipe kept {name}{for_store}")
    click.get_current_context().exit(1 if items else 0)


def _show(counted: ledger.Counters, recipes_on: int) -> None:
    rows = [
        ("Recipes on", recipes_on),
        ("Events, 7 days", counted.events),
        ("Done", counted.done),
        ("Skipped by conditions", counted.skipped),
        ("Left out", counted.left_out),
        ("Under way", counted.under_way),
        ("Being tried again", counted.retrying),
        ("Failed", counted.failed),
        ("Need your word", counted.unsure),
    ]
    print_table((), [(words, f"{number:,}") for words, number in rows])


def _fix(item: ledger.Attention, names: dict[int | None, str]) -> str:
    """The command that mends an item, or shows what there is to decide."""
    if item.fix is ledger.Fix.RECONNECT:
        return f"pocketwire connection change {item.connection_id}"
    if item.fix is ledger.Fix.SET_SECRET:
        return f"pocketwire endpoint set-secret --mode {item.mode}"
    if item.fix is ledger.Fix.LOOK_AT_EVENT:
        return f"pocketwire event {item.event_id}"
    if item.fix is ledger.Fix.LOOK_AT_ADDRESS:
        return f"pocketwire endpoint show --mode {item.mode}"
    if item.fix is ledger.Fix.LOOK_AT_RECIPE:
        return f"pocketwire runs --recipe {names[item.recipe_id]}"
    if item.fix is ledger.Fix.LOOK_AT_WAITING:
        return "pocketwire runs --state queued"
    # A deleted recipe has no name any more: its latest run says what there is to know.
    if item.count == 1 or item.recipe_id not in names:
        return f"pocketwire run {item.run_id}"
    return f"pocketwire runs --recipe {names[item.recipe_id]} --state {item.state}"
