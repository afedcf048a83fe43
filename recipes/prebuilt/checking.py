"""What is wrong with a prebuilt recipe, so that a mistake in one stops the start and not a merchant's run."""

from collections.abc import Iterator, Mapping

from integrations import integration, kit
from integrations.errors import Permanent
from recipes import conditions, mapping
from recipes.definition import Step
from recipes.prebuilt.reading import PLACEHOLDER, Prebuilt


def problems(recipe: Prebuilt, shelf: Mapping[str, Prebuilt]) -> Iterator[str]:
    """A sentence for each mistake; `shelf` are all recipes, among which the twin has to be."""
    twin = shelf.get(recipe.twin) if recipe.twin else None
    if recipe.twin and (twin is None or twin.twin != recipe.name):
        yield f"{recipe.twin} is not its twin."
    for condition in recipe.conditions:
        yield from conditions.problems(condition, recipe.event)
    fields: set[str] = set()
    for step in recipe.steps:
        specs = _fields(step)
        fields.update(specs)
        yield from _step_problems(step, specs, recipe.event)
    for name in PLACEHOLDER.findall(recipe.sentence):
        if name not in fields:
            yield f"the sentence names the field {name}, which no step has."


def _fields(step: Step) -> Mapping[str, kit.FieldSpec]:
    try:
        return {spec.name: spec for spec in kit.fields(integration(step.app).action(step.action).form)}
    except (KeyError, Permanent):
        return {}


def _step_problems(step: Step, specs: Mapping[str, kit.FieldSpec], event: str) -> Iterator[str]:
    if not specs:
        yield f"there is no action {step.action} of {step.app}."
        return
    if step.connection_id is not None or step.labels:
        yield "the connection and what is chosen with it are the merchant's."
    for name, value in step.fields.items():
        spec = specs.get(name)
        if spec is None or spec.load is not None:
            yield f"{name} is no field that can be filled in here."
            continue
        templates = value.values() if isinstance(value, dict) else [value]
        for template in templates:
            for sentence in mapping.problems(str(template), event):
                yield f"{name}: {sentence}"
    for name, spec in specs.items():
        if spec.required and spec.load is None and name not in step.fields:
            yield f"{name} is missing."
