"""The options of `recipe enable` and `recipe save`, and how they change a draft."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

import click
from sqlmodel import Session

from integrations import integration, kit
from recipes import connections, cookbook
from recipes.cli.given import find_connection, read_values, with_values
from recipes.cli.workplace import Refused
from recipes.definition import Condition
from recipes.models import RunsOn


@dataclass(frozen=True)
class Choices:
    """The options, as typed."""

    connections: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[str] = ()
    no_conditions: bool = False
    match: str | None = None
    runs_on: str | None = None
    title: str | None = None
    another: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything was chosen at all; a blank title counts, so that it is refused."""
        return any(each not in (None, False, (), {}) for each in vars(self).values())


_OPTIONS = (
    click.option(
        "--connection",
        "used",
        multiple=True,
        metavar="NAME",
        help="The connection; once for each step if there are several.",
    ),
    with_values,
    click.option("--only-if", "conditions", multiple=True, metavar="'FACT OPERATOR VALUE'", help="A condition."),
    click.option("--no-conditions", is_flag=True, help="Take the conditions away."),
    click.option("--match", type=click.Choice(["all", "any"]), help="Whether all conditions have to hold, or one."),
    click.option(
        "--runs-on", type=click.Choice([each.value for each in RunsOn]), help="Live events, test events or both."
    ),
    click.option("--title", metavar="TITLE", help="What to call it on the pages."),
    click.option("--another", metavar="TITLE", help="Set the recipe up once more beside the one there is."),
)


def with_choices(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command, which is given them as `choices`."""

    @wraps(command)
    def chosen(*words: Any, used: Sequence[str], values: Sequence[str], files: Sequence[str], **options: Any) -> None:
        own = {
            name: options.pop(name) for name in ("conditions", "no_conditions", "match", "runs_on", "title", "another")
        }
        if own["no_conditions"] and own["conditions"]:
            raise Refused("Only one of --only-if and --no-conditions can be given.")
        if own["title"] is not None and own["another"] is not None:
            raise Refused("--another is the title already: leave --title out.")
        command(*words, choices=Choices(connections=used, values=read_values(values, files), **own), **options)

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


def apply(choices: Choices, session: Session, merchant_id: int, draft: cookbook.Draft) -> cookbook.Draft:
    """The draft with the choices. Raises Refused for what cannot be placed."""
    steps = _with_values(_with_connections(session, merchant_id, draft.steps, choices.connections), choices.values)
    draft = replace(draft, steps=steps)
    if choices.conditions or choices.no_conditions:
        draft = replace(draft, conditions=tuple(_condition(text) for text in choices.conditions))
    if choices.title is not None:
        draft = replace(draft, title=choices.title)
    if choices.match is not None:
        draft = replace(draft, match="any" if choices.match == "any" else "all")
    if choices.runs_on is not None:
        draft = replace(draft, runs_on=RunsOn(choices.runs_on))
    return draft


def _with_connections(
    session: Session, merchant_id: int, steps: Sequence[cookbook.StepDraft], names: Sequence[str]
) -> list[cookbook.StepDraft]:
    """One name is for every step of its service; several are for the steps in their order."""
    if not names:
        for step in steps:
            _require_choice(session, merchant_id, step)
        return list(steps)
    found = [find_connection(session, merchant_id, name) for name in names]
    if len(found) == 1:
        if not any(step.app == found[0].app for step in steps):
            raise Refused(f"{found[0].name} is a connection to {found[0].app}, which this recipe does not use.")
        return [replace(step, connection_id=found[0].id) if step.app == found[0].app else step for step in steps]
    if len(found) != len(steps):
        raise Refused(f"The recipe has {len(steps)} steps, but {len(found)} connections were given.")
    return [replace(step, connection_id=each.id) for step, each in zip(steps, found, strict=True)]


def _require_choice(session: Session, merchant_id: int, step: cookbook.StepDraft) -> None:
    if step.connection_id is None and not connections.needs_no_credentials(step.app):
        there = connections.of_app(session, merchant_id, step.app)
        if there:
            listed = ", ".join(each.name for each in there)
            raise Refused(f"Choose one of the connections with --connection: {listed}.")
        raise Refused(f"Connect {integration(step.app).title} first: pocketwire connection add {step.app}.")


def _with_values(steps: Sequence[cookbook.StepDraft], values: Mapping[str, str]) -> list[cookbook.StepDraft]:
    fields: list[dict[str, Any]] = [dict(step.fields) for step in steps]
    waits = [step.wait for step in steps]
    for path, value in values.items():
        waiting = _step_to_wait(steps, path)
        if waiting is not None:
            waits[waiting] = value
            continue
        number, spec, rest = _place(steps, path)
        if spec.kind is kit.Kind.PAIRS:
            if not rest:
                raise Refused(f"{spec.label} are set one by one: --set {spec.name}.Name=value.")
            fields[number][spec.name] = _with_pair(fields[number].get(spec.name), rest, value)
        else:
            fields[number][spec.name] = value
    waiting_steps = [replace(step, wait=wait) for step, wait in zip(steps, waits, strict=True)]
    return [
        replace(step, fields=changed, labels={}) if changed != step.fields else step
        for step, changed in zip(waiting_steps, fields, strict=True)
    ]


def _with_pair(pairs: Any, name: str, value: str) -> dict[str, str]:
    """The pairs with one set; a blank value takes it away."""
    changed = dict(pairs) if isinstance(pairs, Mapping) else {}
    changed.pop(name, None) if not value.strip() else changed.update({name: value})
    return changed


def _step_to_wait(steps: Sequence[cookbook.StepDraft], path: str) -> int | None:
    """The step that "wait" or "2.wait" means; None for any other path."""
    first, _, name = path.rpartition(".")
    if name != "wait" or not (first == "" or first.isdigit()):
        return None
    if not first and len(steps) > 1:
        raise Refused("Each step can wait: put the step's number before it, as in 2.wait.")
    return _number(steps, first) if first else 0


def _number(steps: Sequence[cookbook.StepDraft], given: str) -> int:
    if not 1 <= int(given) <= len(steps):
        raise Refused(f"There is no step {given}: the recipe has {len(steps)}.")
    return int(given) - 1


def _place(steps: Sequence[cookbook.StepDraft], path: str) -> tuple[int, kit.FieldSpec, str]:
    """The step, the field and the name within it that "2.columns.Email" means."""
    first, _, rest = path.partition(".")
    numbers = range(len(steps))
    if first.isdigit():
        numbers = range(_number(steps, first), int(first))
        first, _, rest = rest.partition(".")
    found = [(number, spec) for number in numbers for spec in _specs(steps[number]) if spec.name == first]
    if len(found) > 1:
        raise Refused(f"Several steps have a field called {first}: put the step's number before it, as in 1.{first}.")
    if not found or (rest and found[0][1].kind is not kit.Kind.PAIRS):
        names = ", ".join(dict.fromkeys(spec.name for number in numbers for spec in _specs(steps[number])))
        raise Refused(f"There is no field called {path}. Fields: {names}, wait.")
    return found[0][0], found[0][1], rest


def _specs(step: cookbook.StepDraft) -> tuple[kit.FieldSpec, ...]:
    return kit.fields(integration(step.app).action(step.action).form)


def _condition(text: str) -> Condition:
    """A condition typed as "order.amount more_than 100"."""
    fact, _, rest = text.strip().partition(" ")
    operator, _, value = rest.strip().partition(" ")
    return Condition(fact=fact, operator=operator, value=value.strip())
