"""Field mapping: Liquid templates filled in from an event's facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit import Escape, FieldSpec, Kind, plain
from recipes.mapping.liquid import fill
from recipes.mapping.problems import fact_problem, problems
from recipes.mapping.values import MappingError, as_text

__all__ = ["MappingError", "as_text", "fact_problem", "problems", "render", "render_fields"]


def render(template: str, facts: Mapping[str, Any], escape: Escape = plain) -> Any:
    """The template filled in from the facts; `escape` goes over what is put in, not over the template's own text.

    A lone {{ fact }} keeps its type; everything else is text. Raises MappingError with a sentence.
    """
    return fill(template, facts, escape)


def render_fields(specs: Sequence[FieldSpec], values: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A step's fields filled in, ready for kit.validate. Raises MappingError, which names the field.

    Choices are taken as they are. A name that no field has stays, for kit.validate to refuse.
    """
    by_name = {spec.name: spec for spec in specs}
    return {name: _field(by_name.get(name), value, facts) for name, value in values.items()}


def _field(spec: FieldSpec | None, value: Any, facts: Mapping[str, Any]) -> Any:
    if spec is None or spec.kind is Kind.CHOICE:
        return value
    try:
        if spec.kind is Kind.PAIRS and isinstance(value, Mapping):
            return {name: as_text(render(template, facts, spec.escape)) for name, template in value.items()}
        if not isinstance(value, str):
            return value
        filled = render(value, facts, spec.escape)
    except MappingError as error:
        raise MappingError(f"{spec.label}: {error}") from None
    return filled if spec.kind in (Kind.NUMBER, Kind.TOGGLE) else as_text(filled)
