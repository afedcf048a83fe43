"""Turns what `recipe enable` was given into changes of a draft."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session

from integrations import integration, kit
from recipes import connections, cookbook
from recipes.cli.given import find_connection
from recipes.cli.workplace import Refused
from recipes.definition import Condition
from recipes.models import RunsOn


@dataclass(frozen=True)
class Choices:
    """The options of `recipe enable`, as typed."""

    connections: Sequence[str]
    values: Mapping[str, str]
    conditions: Sequence[str]
    match: str | None
    runs_on: str | None
    another: str | None

    def __bool__(self) -> bool:
        """Whether anything was chosen at all."""
        return any((self.connections, self.values, self.conditions, self.match, self.runs_on, self.another))


def apply(choices: Choices, session: Session, merchant_id: int, draft: cookbook.Draft) -> cookbook.Draft:
    """The draft with the choices. Raises Refused for what cannot be placed."""
    steps = _with_values(_with_connections(session, merchant_id, draft.steps, choices.connections), choices.values)
    draft = replace(draft, steps=steps)
    if choices.conditions:
        draft = replace(draft, conditions=tuple(_condition(text) for text in choices.conditions))
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
    for path, value in values.items():
        number, spec, rest = _place(steps, path)
        if spec.kind is kit.Kind.PAIRS:
            if not rest:
                raise Refused(f"{spec.label} are set one by one: --set {spec.name}.Name=value.")
            fields[number][spec.name] = _with_pair(fields[number].get(spec.name), rest, value)
        else:
            fields[number][spec.name] = value
    return [
        replace(step, fields=changed, labels={}) if changed != step.fields else step
        for step, changed in zip(steps, fields, strict=True)
    ]


def _with_pair(pairs: Any, name: str, value: str) -> dict[str, str]:
    """The pairs with one set; a blank value takes it away."""
    changed = dict(pairs) if isinstance(pairs, Mapping) else {}
    changed.pop(name, None) if not value.strip() else changed.update({name: value})
    return changed


def _place(steps: Sequence[cookbook.StepDraft], path: str) -> tuple[int, kit.FieldSpec, str]:
    """The step, the field and the name within it that "2.columns.Email" means."""
    first, _, rest = path.partition(".")
    numbers = range(len(steps))
    if first.isdigit():
        if not 1 <= int(first) <= len(steps):
            raise Refused(f"There is no step {first}: the recipe has {len(steps)}.")
        numbers = range(int(first) - 1, int(first))
        first, _, rest = rest.partition(".")
    found = [(number, spec) for number in numbers for spec in _specs(steps[number]) if spec.name == first]
    if len(found) > 1:
        raise Refused(f"Several steps have a field called {first}: put the step's number before it, as in 1.{first}.")
    if not found or (rest and found[0][1].kind is not kit.Kind.PAIRS):
        names = ", ".join(dict.fromkeys(spec.name for number in numbers for spec in _specs(steps[number])))
        raise Refused(f"There is no field called {path}. Fields: {names}.")
    return found[0][0], found[0][1], rest


def _specs(step: cookbook.StepDraft) -> tuple[kit.FieldSpec, ...]:
    return kit.fields(integration(step.app).action(step.action).form)


def _condition(text: str) -> Condition:
    """A condition typed as "order.amount more_than 100"."""
    fact, _, rest = text.strip().partition(" ")
    operator, _, value = rest.strip().partition(" ")
    return Condition(fact=fact, operator=operator, value=value.strip())
