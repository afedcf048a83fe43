"""A recipe's set-up form: from a draft to what the page shows, and from what was entered back to a draft.

Fields are named like the places of a CookbookError: `steps.0.connection`, `steps.0.fields.channel`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import connections, cookbook, waits
from recipes.conditions import OPERATORS, Operator
from recipes.db import reading
from recipes.definition import Condition
from recipes.events import EventType
from recipes.models import Connection, ConnectionState, RunsOn
from web.forms import Field, entered, fields_of, within
from web.site import merchant_id, site


@dataclass(frozen=True)
class StepView:
    """One step as the page shows it. `connections` are those to choose from; `is_paused`: the chosen one is.

    wait: the number and the unit of what it waits before, as entered.
    """

    number: int
    service: kit.Integration
    action: kit.Action
    connections: Sequence[Connection]
    connection_id: int | None
    is_paused: bool
    connection_problem: str
    fields: Sequence[Field]
    wait: tuple[str, str]
    wait_problem: str


# ── From the page ────────────────────────────────────────────────────────────────────────────────────────


def read_draft(draft: cookbook.Draft, form: MultiDict[str, str]) -> cookbook.Draft:
    """The draft with what was entered."""
    runs_on, match = form.get("runs_on", ""), form.get("match")
    return replace(
        draft,
        made_from=form.get("version", type=int),
        title=form.get("title", draft.title),
        runs_on=RunsOn(runs_on) if runs_on in set(RunsOn) else draft.runs_on,
        match="any" if match == "any" else "all",
        conditions=_conditions(form),
        steps=[_step(step, number, form) for number, step in enumerate(draft.steps)],
    )


def with_connection(draft: cookbook.Draft, number: int, connection: Connection) -> cookbook.Draft:
    """The draft with a new connection for the step of this number, and for those of its service that have none."""
    return replace(
        draft,
        steps=[
            replace(step, connection_id=connection.id)
            if step.app == connection.app and (each == number or step.connection_id is None)
            else step
            for each, step in enumerate(draft.steps)
        ],
    )


def is_known(draft: cookbook.Draft) -> bool:
    """Whether this version still ships everything the draft uses."""
    try:
        for step in draft.steps:
            integration(step.app).action(step.action)
    except (KeyError, Permanent):
        return False
    return True


def _conditions(form: MultiDict[str, str]) -> list[Condition]:
    rows = zip(form.getlist("fact"), form.getlist("operator"), form.getlist("value"), strict=False)
    return [Condition(fact=fact, operator=operator, value=value.strip()) for fact, operator, value in rows if fact]


def _step(step: cookbook.StepDraft, number: int, form: MultiDict[str, str]) -> cookbook.StepDraft:
    specs = kit.fields(integration(step.app).action(step.action).form)
    values = entered(specs, form, prefix=f"steps.{number}.fields.")
    kept = {name: value for name, value in values.items() if value not in ("", {})}
    return replace(
        step,
        connection_id=form.get(f"steps.{number}.connection", step.connection_id, type=int),
        fields=kept,
        wait=_wait(form, f"steps.{number}.wait", step.wait),
        labels={name: label for name, label in step.labels.items() if kept.get(name) == step.fields.get(name)},
    )


def _wait(form: MultiDict[str, str], place: str, before: str) -> str:
    """A number and its unit; a form without them, as of a page that was opened before, changes nothing."""
    if place not in form:
        return before
    number = form[place].strip()
    return f"{number} {form.get(f'{place}_unit', '')}".strip() if number else ""


# ── To the page ──────────────────────────────────────────────────────────────────────────────────────────


def look(
    draft: cookbook.Draft, problems: Mapping[str, str], *, may_call: bool
) -> tuple[cookbook.Draft, list[StepView]]:
    """The draft with the labels of its choices, and its steps as the page shows them.

    may_call: whether services are asked for live choices.
    """
    with reading(site().engine) as session:
        found = connections.of_merchant(session, merchant_id())
    steps, views = [], []
    for number, step in enumerate(draft.steps):
        view = _view(step, number, [each for each in found if each.app == step.app], problems, may_call)
        views.append(view)
        steps.append(replace(step, labels={**step.labels, **_labels(view.fields)}))
    return replace(draft, steps=steps), views


def _view(
    step: cookbook.StepDraft, number: int, found: Sequence[Connection], problems: Mapping[str, str], may_call: bool
) -> StepView:
    service = integration(step.app)
    action = service.action(step.action)
    specs = kit.fields(action.form)
    connection = next((each for each in found if each.id == step.connection_id), None)
    values: dict[str, Any] = dict(step.fields)
    place = f"steps.{number}.fields."
    return StepView(
        number=number,
        service=service,
        action=action,
        connections=found,
        connection_id=connection.id if connection else None,
        is_paused=connection is not None and connection.state == ConnectionState.PAUSED,
        connection_problem=problems.get(f"steps.{number}.connection", ""),
        fields=fields_of(
            specs,
            values,
            prefix=place,
            problems=within(place, problems),
            choices=site().choices.of_step(connection, specs, values, site().now(), may_call=may_call),
        ),
        wait=waits.parts(step.wait),
        wait_problem=problems.get(f"steps.{number}.wait", ""),
    )


def _labels(fields: Sequence[Field]) -> dict[str, str]:
    return {
        field.spec.name: option.label
        for field in fields
        for option in field.choices.options
        if option.value == field.value
    }


def operators() -> list[tuple[Operator, str]]:
    """Every operator once, with the kinds of facts it fits, parted by blanks."""
    kinds: dict[str, tuple[Operator, list[str]]] = {}
    for kind, fitting in OPERATORS.items():
        for operator in fitting:
            kinds.setdefault(operator.name, (operator, []))[1].append(kind)
    return [(operator, " ".join(fitting)) for operator, fitting in kinds.values()]


def places(draft: cookbook.Draft) -> list[str]:
    """Where a problem can stand on the page, from the top down; each is also the id of what to mend there."""
    found = [f"conditions.{number}" for number in range(len(draft.conditions))]
    for number, step in enumerate(draft.steps):
        found += [f"steps.{number}.wait", f"steps.{number}.connection"]
        for spec in kit.fields(integration(step.app).action(step.action).form):
            place = f"steps.{number}.fields.{spec.name}"
            found.append(place)
            if spec.kind is kit.Kind.PAIRS:
                rows = range(len(step.fields.get(spec.name, ())))
                found += [f"{place}.{row}.{part}" for row in rows for part in ("name", "text")]
    return [*found, "title"]


def condition_rows(draft: cookbook.Draft) -> list[Condition]:
    """The conditions, and a blank row for another."""
    return [*draft.conditions, Condition(fact="", operator="", value="")]


def facts_to_choose(event: EventType) -> list[tuple[str, str, str]]:
    """The facts a condition or a field may name: name, label, kind."""
    return [(fact.name, fact.label, fact.kind) for fact in event.facts]
