"""What is wrong with a draft, in sentences, each by the field it belongs to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import conditions, connections, mapping, waits
from recipes.cookbook.drafts import Draft, StepDraft
from recipes.events import event_type
from recipes.refusal import Refusal

_LIQUID = re.compile(r"{{|{%")
LONGEST_TITLE = 120

Problem = tuple[str, str]


class CookbookError(Refusal):
    """A recipe cannot be saved or switched on. `problems` maps a place to a sentence.

    Places: "title", "conditions.0", "steps.0.wait", "steps.0.connection", "steps.0.fields.channel",
    "steps.0.fields.columns.2.name" or "….text" for a row of pairs, or "" for the whole.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(dict.fromkeys(problems.values())))
        self.problems = dict(problems)


class ChangedMeanwhile(CookbookError):
    """The recipe has another `version` than the draft was made from, saved by somebody at some time."""

    def __init__(self, version: int, saved_by: str, saved_at: datetime) -> None:
        super().__init__({"": f"{saved_by} has saved this recipe since. Look at it again before you save."})
        self.version = version
        self.saved_by = saved_by
        self.saved_at = saved_at


def problems(
    session: Session, merchant_id: int, draft: Draft, payload_examples: Sequence[Mapping[str, Any]] = ()
) -> dict[str, str]:
    """Everything that is wrong with a draft, by place; empty if it can be saved.

    payload_examples: payloads of the draft's event, to tell a mistyped `payload.…` from a real one.
    """
    found = [*_title_problems(draft), *_condition_problems(draft, payload_examples)]
    for number, step in enumerate(draft.steps):
        found += [
            (f"steps.{number}.{place}", sentence)
            for place, sentence in _step_problems(session, merchant_id, draft.event, step, payload_examples)
        ]
    if event_type(draft.event) is None:
        found.append(("", f"There is no event called {draft.event}."))
    if not draft.steps:
        found.append(("", "The recipe has no step."))
    first: dict[str, str] = {}
    for place, sentence in found:
        first.setdefault(place, sentence)
    return first


def _title_problems(draft: Draft) -> Iterator[Problem]:
    title = draft.title.strip()
    if not title:
        yield "title", "The recipe needs a title."
    elif len(title) > LONGEST_TITLE:
        yield "title", f"The title can be at most {LONGEST_TITLE} characters long."


def _condition_problems(draft: Draft, examples: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    for number, condition in enumerate(draft.conditions):
        for sentence in conditions.problems(condition, draft.event, examples):
            yield f"conditions.{number}", sentence


def _step_problems(
    session: Session, merchant_id: int, event: str, step: StepDraft, examples: Sequence[Mapping[str, Any]]
) -> Iterator[Problem]:
    try:
        app = integration(step.app)
        action = app.action(step.action)
    except KeyError:
        yield "connection", f"There is no service called {step.app}."
        return
    except Permanent as error:
        yield "connection", error.sentence
        return
    if said := waits.problem(step.wait):
        yield "wait", said
    yield from _connection_problems(session, merchant_id, app, step)
    specs = {spec.name: spec for spec in kit.fields(action.form)}
    for name in step.fields:
        if name not in specs:
            yield f"fields.{name}", f"“{action.title}” has no field called {name}."
    for name, spec in specs.items():
        for place, sentence in field_problems(spec, step.fields.get(name), event, examples):
            yield f"fields.{name}{place}", sentence


def _connection_problems(
    session: Session, merchant_id: int, app: kit.Integration, step: StepDraft
) -> Iterator[Problem]:
    if step.connection_id is None:
        yield "connection", f"Choose a connection to {app.title}, or add one first."
        return
    connection = connections.get(session, merchant_id, step.connection_id)
    if connection is None:
        yield "connection", f"This connection is not there any more: choose another one to {app.title}."
    elif connection.app != app.name:
        yield "connection", f"{connection.name} is not a connection to {app.title}."


def field_problems(
    spec: kit.FieldSpec, value: Any, event: str, examples: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Problem]:
    """What is wrong with the value of one field of an action: the place in it ("" for all of it) and a sentence."""
    if value is None or value == {} or (isinstance(value, str) and not value.strip()):
        if spec.required:
            yield "", f"{spec.label} is missing."
    elif spec.kind is kit.Kind.PAIRS:
        yield from _pairs_problems(spec, value, event, examples)
    elif isinstance(value, str):
        # A choice is taken as it is: nothing is filled in.
        is_template = _LIQUID.search(value) and spec.kind is not kit.Kind.CHOICE
        found = mapping.problems(value, event, examples) if is_template else _literal_problems(spec, value)
        yield from (("", sentence) for sentence in found)
    elif not _fits(spec.kind, value):
        yield "", f"{spec.label} does not have the right form."


def _pairs_problems(
    spec: kit.FieldSpec, value: Any, event: str, examples: Sequence[Mapping[str, Any]]
) -> Iterator[Problem]:
    """By row, from 0: a mapping is what can be saved, a list of rows what cannot be one."""
    if not isinstance(value, Mapping | list):
        yield "", f"{spec.label} has to be pairs of a name and a text."
        return
    seen: set[str] = set()
    for number, (name, text) in enumerate(value.items() if isinstance(value, Mapping) else value):
        if not str(name).strip():
            yield f".{number}.name", f"{spec.label}: a name is empty. Fill it in, or empty its text too."
        elif name in seen:
            yield f".{number}.name", f"{spec.label}: there are two called {name}. Give one of them another name."
        seen.add(name)
        for sentence in mapping.problems(str(text), event, examples):
            yield f".{number}.text", f"{name or spec.label}: {sentence}"


def _literal_problems(spec: kit.FieldSpec, value: str) -> Iterator[str]:
    text = value.strip()
    if spec.pattern and not re.fullmatch(spec.pattern, text):
        yield f"{spec.label} {spec.pattern_help or 'does not have the right form'}."
    if spec.options and text not in {option.value for option in spec.options}:
        yield f"{spec.label} has to be one of the choices."
    if spec.kind is kit.Kind.NUMBER and not re.fullmatch(r"[+-]?\d+", text):
        yield f"{spec.label} has to be a whole number."
    if spec.kind is kit.Kind.TOGGLE and text.lower() not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        yield f"{spec.label} has to be yes or no."


def _fits(kind: kit.Kind, value: Any) -> bool:
    if kind is kit.Kind.TOGGLE:
        return isinstance(value, bool)
    return kind is kit.Kind.NUMBER and isinstance(value, int) and not isinstance(value, bool)
