"""A look at what a draft would do: its conditions and its fields, filled from a real event or the sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import conditions, mapping, waits
from recipes.cookbook.drafts import Draft, StepDraft
from recipes.cookbook.recent import example
from recipes.events import event_type
from recipes.events.facts import facts_of


@dataclass(frozen=True)
class PreviewStep:
    """One step: how long it waits, its name, its fields as label and text, or why they cannot be filled."""

    app: str
    app_title: str
    action_title: str
    fields: Sequence[tuple[str, str]]
    problem: str = ""
    wait: str = ""


@dataclass(frozen=True)
class Preview:
    """What would happen. `event_id` is the real event it was tried with; None means the sample.

    `matches` and `verdict` are the conditions': whether the recipe would run for that event, and why.
    """

    event_id: int | None
    occurred_at: datetime
    matches: bool
    verdict: str
    conditions: Sequence[tuple[str, bool]]
    steps: Sequence[PreviewStep]


def preview(session: Session, merchant_id: int, draft: Draft, now: datetime) -> Preview | None:
    """What a draft would do for the last event that it would have taken, else for the sample; nothing is called.

    None for an unknown event. A draft with mistakes is previewed as far as that goes.
    """
    tried = example(session, merchant_id, draft.event, draft.runs_on, now)
    known = event_type(draft.event)
    if tried is None or known is None:
        return None
    facts = facts_of(draft.event, tried.payload, occurred_at=tried.occurred_at, test_mode=tried.test_mode)
    verdict = conditions.evaluate(draft.match, list(draft.conditions), facts)
    return Preview(
        event_id=tried.event_id,
        occurred_at=tried.occurred_at,
        matches=verdict.matches,
        verdict=verdict.sentence,
        conditions=list(verdict.rows),
        steps=[_step(step, facts) for step in draft.steps],
    )


def _step(step: StepDraft, facts: Mapping[str, Any]) -> PreviewStep:
    return replace(_filled(step, facts), wait="" if waits.problem(step.wait) else waits.normalized(step.wait))


def _filled(step: StepDraft, facts: Mapping[str, Any]) -> PreviewStep:
    try:
        app = integration(step.app)
        action = app.action(step.action)
    except KeyError:
        return PreviewStep(step.app, step.app, step.action, (), f"There is no service called {step.app}.")
    except Permanent as error:
        return PreviewStep(step.app, step.app, step.action, (), error.sentence)
    specs = kit.fields(action.form)
    doubled = [spec.label for spec in specs if isinstance(step.fields.get(spec.name), list)]
    if doubled:
        return PreviewStep(app.name, app.title, action.title, (), f"{doubled[0]}: two have the same name.")
    try:
        values = mapping.render_fields(specs, step.fields, facts)
    except mapping.MappingError as error:
        return PreviewStep(app.name, app.title, action.title, (), str(error))
    return PreviewStep(app.name, app.title, action.title, _rows(specs, step, values))


def _rows(specs: Sequence[kit.FieldSpec], step: StepDraft, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for spec in specs:
        value = values.get(spec.name)
        if isinstance(value, Mapping):
            rows += [(name, str(text)) for name, text in value.items()]
        elif value is not None and value != "":
            rows.append((spec.label, step.labels.get(spec.name) or str(value)))
    return rows
