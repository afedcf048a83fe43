"""`pocketwire recipe …`: the shelf, setting recipes up, switching them on and off, deleting one."""

from dataclasses import replace

import click
from sqlmodel import Session

from recipes import cookbook
from recipes.cli.given import ServiceGroup
from recipes.cli.printing import print_json, print_table
from recipes.cli.setting_up import Choices, apply, with_choices
from recipes.cli.workplace import Refused, Workplace, as_json, for_merchant
from recipes.db import reading, transaction
from recipes.events import canonical

SAVED_BY = "command line"


@click.group(cls=ServiceGroup)
def recipe() -> None:
    """The recipes on the shelf."""


@recipe.command("list")
@click.option("--event", metavar="EVENT", help="Only the recipes for this event.")
@as_json
@for_merchant
@click.pass_obj
def list_(work: Workplace, event: str | None, as_json: bool, merchant: str | None) -> None:
    """List the recipes, those that are on and those that could be.

    \b
    Example: pocketwire recipe list --event order.completed
    """
    with reading(work.engine) as session:
        groups = cookbook.shelf(session, work.merchant_id(merchant, session))
    wanted = canonical(event) if event else None
    groups = [group for group in groups if wanted in (None, group.event.name)]
    if as_json:
        print_json([entry for group in groups for entry in group.entries])
    elif not groups:
        raise Refused(f"There is no recipe for {event}.")
    else:
        for group in groups:
            click.echo(f"{group.event.title} ({group.event.name})")
            print_table((), [(f"  {_state(entry)}", entry.name, _what(entry)) for entry in group.entries])
            click.echo()


def _state(entry: cookbook.ShelfEntry) -> str:
    if entry.enabled:
        return "waits" if entry.waits_for else "on"
    return "off" if entry.recipe_id else "-  "


def _what(entry: cookbook.ShelfEntry) -> str:
    title = f"{entry.own_title}: " if entry.own_title else ""
    return f"{title}{entry.sentence} {entry.only_if}".rstrip()


@recipe.command()
@click.argument("name")
@with_choices
@click.option("--dry-run", is_flag=True, help="Show what it would do, and change nothing.")
@for_merchant
@click.pass_obj
def enable(work: Workplace, name: str, choices: Choices, dry_run: bool, merchant: str | None) -> None:
    """Set a recipe up if need be, and switch it on.

    Text may hold facts: --set text='{{ buyer.email }} bought {{ product.name }}'. Columns are set one by one: --set
    columns.Email='{{ buyer.email }}'. Where several steps have a field, the step's number goes before it: --set
    2.text=Hello. A step can wait before it is done: --set wait="3 days".

    \b
    Example: pocketwire recipe enable review.created/slack-message --connection slack --set channel='#reviews'
    """
    owner = work.merchant_id(merchant)
    draft = _set_up(work, owner, name, choices)
    with transaction(work.engine) as session:
        saved = (
            cookbook.save(session, work.vault, owner, draft, by=SAVED_BY, now=work.now())
            if choices.is_any or draft.recipe_id is None
            else None
        )
        on = cookbook.enable(session, owner, (saved.id if saved else draft.recipe_id) or 0, work.now())
        if dry_run:
            session.rollback()
    if dry_run:
        _show_preview(work, owner, draft)
        return
    click.echo(f"{on.title}: on ({on.name}).")
    with reading(work.engine) as session:
        kept = cookbook.kept_events(session, owner, on.id or 0, work.now())
    if kept.is_offered:
        click.echo(f"{kept.sentence} See pocketwire recipe kept --help.")


@recipe.command()
@click.argument("name")
@with_choices
@click.option("--dry-run", is_flag=True, help="Show what it would do, and change nothing.")
@for_merchant
@click.pass_obj
def save(work: Workplace, name: str, choices: Choices, dry_run: bool, merchant: str | None) -> None:
    """Set a recipe up or change it, and leave it on or off as it is; a new one is off.

    It takes what `recipe enable` takes.

    \b
    Example: pocketwire recipe save review.created/slack-message --title "Reviews" --set channel='#reviews'
    """
    owner = work.merchant_id(merchant)
    draft = _set_up(work, owner, name, choices)
    with transaction(work.engine) as session:
        saved = cookbook.save(session, work.vault, owner, draft, by=SAVED_BY, now=work.now())
        if dry_run:
            session.rollback()
    if dry_run:
        _show_preview(work, owner, draft)
        return
    click.echo(f"{saved.title}: saved, and {'on' if saved.enabled else 'off'} ({saved.name}).")


def _set_up(work: Workplace, merchant_id: int, name: str, choices: Choices) -> cookbook.Draft:
    """The recipe with the choices, checked against what its services offer. Says what could not be checked."""
    with reading(work.engine) as session:
        draft = apply(choices, session, merchant_id, _draft(session, merchant_id, name, choices.another))
    draft, warnings = cookbook.with_labels(work.engine, work.vault, work.settings, merchant_id, draft)
    for warning in warnings:
        click.echo(warning, err=True)
    return draft


def _draft(session: Session, merchant_id: int, name: str, another: str | None) -> cookbook.Draft:
    recipe = cookbook.find_recipe(session, merchant_id, name)
    if recipe is not None and another is None:
        draft = cookbook.draft_of_recipe(session, merchant_id, recipe.id or 0)
    else:
        draft = cookbook.draft_from_prebuilt(session, merchant_id, name)
    if draft is None:
        raise Refused(f"There is no recipe called {name}: see pocketwire recipe list.")
    return replace(draft, another=True, title=another) if another is not None else draft


def _show_preview(work: Workplace, merchant_id: int, draft: cookbook.Draft) -> None:
    with reading(work.engine) as session:
        preview = cookbook.preview(session, merchant_id, draft, work.now())
    if preview is None:
        raise Refused(f"There is no event called {draft.event}.")
    click.echo(f"Tried with {f'event {preview.event_id}' if preview.event_id else 'the sample'}. {preview.verdict}")
    for step in preview.steps:
        later = f"{step.wait} later, " if step.wait else ""
        click.echo(f"\n{later}{step.app_title}: {step.action_title}")
        if step.problem:
            click.echo(f"  {step.problem}")
        for label, value in step.fields:
            click.echo(f"  {label}: {value}")


@recipe.command()
@click.argument("name")
@click.option("--run", "word", flag_value="run", help="Run them, in their order.")
@click.option("--leave", "word", flag_value="leave", help="Leave them: they stay stored and are not run.")
@for_merchant
@click.pass_obj
def kept(work: Workplace, name: str, word: str | None, merchant: str | None) -> None:
    """Tell what came while a recipe was off; run it, or leave it.

    \b
    Example: pocketwire recipe kept review.created/slack-message --run
    """
    owner = work.merchant_id(merchant)
    with transaction(work.engine) as session:
        found = cookbook.find_recipe(session, owner, name)
        if found is None:
            raise Refused(f"{name} is not set up.")
        if word is None:
            said = cookbook.kept_events(session, owner, found.id or 0, work.now()).sentence
        else:
            decide = cookbook.run_kept if word == "run" else cookbook.leave_kept
            said = decide(session, owner, found.id or 0, work.now())
    click.echo(said or "Nothing that came while it was off waits for your word.")


@recipe.command()
@click.argument("name")
@click.option("--cancel-waiting", is_flag=True, help="Also cancel the runs that wait; else they finish.")
@for_merchant
@click.pass_obj
def disable(work: Workplace, name: str, cancel_waiting: bool, merchant: str | None) -> None:
    """Switch a recipe off.

    \b
    Example: pocketwire recipe disable review.created/slack-message
    """
    with transaction(work.engine) as session:
        owner = work.merchant_id(merchant, session)
        found = cookbook.find_recipe(session, owner, name)
        if found is None:
            raise Refused(f"{name} is not set up, so it is off already.")
        disabled = cookbook.disable(session, owner, found.id or 0, work.now(), cancel_waiting=cancel_waiting)
    click.echo(disabled.sentence)


@recipe.command()
@click.argument("name")
@click.option("--cancel-waiting", is_flag=True, help="Also cancel the runs that wait; else they finish.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@for_merchant
@click.pass_obj
def delete(work: Workplace, name: str, cancel_waiting: bool, yes: bool, merchant: str | None) -> None:
    """Delete a recipe. It says what that means, and asks.

    \b
    Example: pocketwire recipe delete review.created/slack-message
    """
    owner = work.merchant_id(merchant)
    with reading(work.engine) as session:
        meant = cookbook.deletion(session, owner, name)
    if meant is None:
        raise Refused(f"{name} is not set up, so there is nothing to delete.")
    if not yes:
        click.echo("\n".join([f"Deleting “{meant.recipe.title}”:", *(f"- {each}" for each in meant.sentences)]))
        click.confirm("Delete it?", abort=True)
    with transaction(work.engine) as session:
        said = cookbook.delete(session, owner, meant.recipe.id or 0, work.now(), cancel_waiting=cancel_waiting)
    click.echo(said)
