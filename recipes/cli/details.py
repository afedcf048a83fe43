"""`pocketwire run` and `event`: one of them, with all there is to know about it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import click

from recipes import ledger
from recipes.cli.printing import harmless, moment, print_json, print_table
from recipes.cli.workplace import Refused, Workplace, as_json, for_merchant
from recipes.db import reading
from recipes.models import RunState, Standing


@click.command()
@click.argument("run_id", type=int, metavar="ID")
@as_json
@for_merchant
@click.pass_obj
def run(work: Workplace, run_id: int, as_json: bool, merchant: str | None) -> None:
    """Show one run: its steps, each try with what was sent, and what came of it.

    \b
    Example: pocketwire run 42
    """
    with reading(work.engine) as session:
        detail = ledger.run_detail(session, work.merchant_id(merchant, session), run_id)
    if detail is None:
        raise Refused(f"There is no run {run_id}: see pocketwire runs.")
    if as_json:
        print_json(_flat(detail))
        return
    line = detail.line
    of = f" of {line.subject}" if line.subject else ""
    click.echo(harmless(f"Run {line.id} of “{line.recipe_title}”: {line.state_words}."))
    click.echo(harmless(f"For event {line.event_id}, {line.event_type}{of}, {moment(line.created_at)}."))
    rest = f"{detail.rest.sentence} It goes on at {moment(detail.rest.until)} at the latest." if detail.rest else ""
    waits = f"Waits until {moment(line.waits_until)}, as the recipe says." if line.waits_until else ""
    next_try = f"Next try: {moment(line.due_at)}." if line.due_at else ""
    for sentence in (line.outcome, rest, waits, next_try, *_requests(line)):
        if sentence:
            click.echo(harmless(sentence))
    for number, step in enumerate(detail.steps):
        later = f"{step.wait} later, " if step.wait else ""
        click.echo(f"\n{number + 1}. {later}{step.app_title}: {step.action_title} ({step.progress})")
        for attempt in detail.attempts:
            if attempt.step == number:
                _show_attempt(attempt)


def _requests(line: ledger.RunLine) -> list[str]:
    """What can be asked of the run, as commands."""
    held = line.state == RunState.HELD and line.connection_id
    return [
        *([f"To let it go on: pocketwire connection change {line.connection_id}"] if held else []),
        *([f"If it was done: pocketwire mark-done {line.id}"] if line.can_be_marked_done else []),
        *([f"To run it again: pocketwire run-again {line.id}"] if line.can_run_again else []),
        *([f"To call it off: pocketwire cancel {line.id}"] if line.can_be_cancelled else []),
    ]


def _show_attempt(attempt: ledger.AttemptLine) -> None:
    click.echo(
        harmless(
            f"   Try {attempt.number}, {moment(attempt.started_at)}, {attempt.milliseconds} ms: "
            f"{attempt.result_words}. {attempt.outcome}"
        ).rstrip()
    )
    rows = [(f"     {name}", text) for name, text in _fields(attempt.request)]
    if attempt.status:
        rows.append(("     HTTP status", str(attempt.status)))
    if attempt.answer:
        rows.append(("     Answer", attempt.answer))
    if rows:
        print_table((), rows)


def _fields(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A try's fields and their texts; the pairs of a field of pairs one by one, as --set takes them."""
    found = []
    for name, value in request.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{key}", str(text)) for key, text in value.items()]
        else:
            found.append((name, str(value)))
    return found


@click.command()
@click.argument("event_id", type=int, metavar="ID")
@as_json
@for_merchant
@click.pass_obj
def event(work: Workplace, event_id: int, as_json: bool, merchant: str | None) -> None:
    """Show one event: what it says, what was done about it, or why nothing was.

    With --json, also the delivery as it came. Private links are not shown.

    \b
    Example: pocketwire event 42
    """
    with reading(work.engine) as session:
        detail = ledger.event_detail(session, work.merchant_id(merchant, session), event_id)
    if detail is None:
        raise Refused(f"There is no event {event_id}: see pocketwire events.")
    if as_json:
        print_json(_flat(detail))
        return
    line = detail.line
    kind = "".join([", test side" * (line.mode == "test"), ", sample" * (line.origin == "sample")])
    click.echo(harmless(f"Event {line.id}, {line.type}, received {moment(line.received_at)}{kind}."))
    click.echo(detail.sentence)
    if detail.runs:
        click.echo("\nWhat was done about it:")
        _show_runs(detail.runs)
    else:
        click.echo(f"\nNothing was done about it: {harmless(line.outcome)}")
        if detail.is_late:
            click.echo(f"To run it all the same, which may give back access: pocketwire run-late {line.id}")
        elif line.standing == Standing.READY:
            click.echo(f"Recipes for it: pocketwire recipe list --event {line.type}")
    if detail.facts:
        click.echo("\nWhat it says:")
        print_table((), [(f"  {label}", text) for label, text in detail.facts])


def _show_runs(runs: Sequence[ledger.RunLine]) -> None:
    print_table((), [(f"  Run {each.id}", each.recipe_title, f"{each.state_words}. {each.outcome}") for each in runs])


def _flat(detail: ledger.RunDetail | ledger.EventDetail) -> dict[str, Any]:
    """The detail as the lists print its line, and the rest beside it."""
    parts = dataclasses.asdict(detail)
    return {**parts.pop("line"), **parts}
