"""A declared form's fields on a page, and what was entered back from it.

Fields are named `<prefix><field>`. A field of pairs is two lists, `…__name` and `…__text`, one entry a row; problems
with a row are those of `<field>.<row from 0>.name` and `….text`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from integrations.kit import FieldSpec, Kind, Option


@dataclass(frozen=True)
class Choices:
    """What can be chosen for a field; `problem` says why nothing could be loaded, then the id is typed.

    `waits_for`: what has to be chosen before, in words; until then the field takes nothing.
    """

    options: Sequence[Option] = ()
    problem: str = ""
    waits_for: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a field of pairs, with the problem of each of its two parts."""

    name: str
    text: str
    name_problem: str = ""
    text_problem: str = ""


@dataclass(frozen=True)
class Field:
    """A field as it stands on a page. A secret's `value` is always blank: secrets are never shown again."""

    spec: FieldSpec
    name: str
    value: Any
    choices: Choices
    problem: str = ""
    keeps_secret: bool = False
    row_problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """The rows of a field of pairs, with a blank one at the end."""
        pairs = self.value.items() if isinstance(self.value, Mapping) else self.value or []
        problem = self.row_problems.get
        rows = [
            Row(name, text, problem(f"{number}.name", ""), problem(f"{number}.text", ""))
            for number, (name, text) in enumerate(pairs)
        ]
        return [*rows, Row("", "")]

    @property
    def is_typed(self) -> bool:
        """Whether a choice has to be typed, because nothing could be loaded to choose from."""
        return not self.choices.options

    @property
    def is_unlisted(self) -> bool:
        """Whether the value is not among the choices: the service may have dropped it, or it was typed."""
        return bool(self.value) and self.value not in {option.value for option in self.choices.options}


def fields_of(
    specs: Sequence[FieldSpec],
    values: Mapping[str, Any],
    *,
    prefix: str = "",
    problems: Mapping[str, str] | None = None,
    choices: Mapping[str, Choices] | None = None,
    keeps_secrets: bool = False,
) -> list[Field]:
    """The fields of a form, filled with `values`, each with its problem and its choices by field name.

    keeps_secrets: whether secrets are stored already, so that a blank one stays as it is.
    """
    problems, choices = problems or {}, choices or {}
    return [
        Field(
            spec=spec,
            name=prefix + spec.name,
            value="" if spec.is_secret else _listed(_shown(spec, values), choices.get(spec.name)),
            choices=choices.get(spec.name) or Choices(spec.options),
            problem=problems.get(spec.name, ""),
            keeps_secret=keeps_secrets and spec.is_secret,
            row_problems=within(f"{spec.name}.", problems),
        )
        for spec in specs
    ]


def within(place: str, problems: Mapping[str, str]) -> dict[str, str]:
    """The problems whose place begins with this one, by the rest of their place."""
    return {name.removeprefix(place): problem for name, problem in problems.items() if name.startswith(place)}


def _shown(spec: FieldSpec, values: Mapping[str, Any]) -> Any:
    value = values.get(spec.name, spec.default)
    return "" if value is None else value


def _listed(value: Any, choices: Choices | None) -> Any:
    """A choice that was typed as it is called, while nothing could be loaded: the one of that name, if it is one."""
    options = choices.options if choices else ()
    if not isinstance(value, str) or value in {option.value for option in options}:
        return value
    same = [option.value for option in options if option.label.casefold() == value.strip().casefold()]
    return same[0] if len(same) == 1 else value


def entered(specs: Sequence[FieldSpec], form: MultiDict[str, str], *, prefix: str = "") -> dict[str, Any]:
    """What was entered, as kit.validate takes it. Rows without a name and a text are left out.

    Pairs among which a name comes twice stay a list, so that nothing typed is lost before it is refused.
    """
    return {spec.name: _entered(spec, form, prefix + spec.name) for spec in specs}


def _entered(spec: FieldSpec, form: MultiDict[str, str], name: str) -> Any:
    if spec.kind is Kind.TOGGLE:
        return form.get(name) == "on"
    if spec.kind is Kind.PAIRS:
        typed = zip(form.getlist(f"{name}__name"), form.getlist(f"{name}__text"), strict=False)
        rows = [(key.strip(), text.strip()) for key, text in typed if key.strip() or text.strip()]
        pairs = dict(rows)
        return pairs if len(pairs) == len(rows) else rows
    if spec.kind is Kind.LINES:
        # Browsers send line breaks as CR LF.
        return form.get(name, "").replace("\r\n", "\n")
    return form.get(name, "")
