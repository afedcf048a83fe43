"""Choices by what the merchant reads: "#reviews" becomes the channel's id, and an id gets its label."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from integrations import integration, kit
from integrations.errors import ActionError
from recipes import connections
from recipes.cookbook.checking import CookbookError
from recipes.cookbook.drafts import Draft, StepDraft
from recipes.db import reading
from recipes.models import Connection
from recipes.settings import Settings
from recipes.vault import Vault

_SHOWN = 8


def with_labels(
    engine: Engine, vault: Vault, settings: Settings, merchant_id: int, draft: Draft
) -> tuple[Draft, list[str]]:
    """The draft with every choice as the value its service knows and with the label that people read.

    Calls the services, so no transaction may be open. A choice can be given as value or as label. Raises
    CookbookError for one that the service does not have. Where a service cannot be asked, the choice stays as it
    is and a sentence in the second part of the answer says so.
    """
    warnings: list[str] = []
    problems: dict[str, str] = {}
    steps = []
    for number, step in enumerate(draft.steps):
        with reading(engine) as session:
            connection = (
                connections.get(session, merchant_id, step.connection_id) if step.connection_id is not None else None
            )
        if connection is None or connection.app != step.app:
            steps.append(step)
            continue
        chosen = _Chosen(vault, settings, connection, step)
        chosen.look_up()
        warnings += chosen.warnings
        problems |= {f"steps.{number}.fields.{name}": sentence for name, sentence in chosen.problems.items()}
        steps.append(replace(step, fields=chosen.fields, labels=chosen.labels))
    if problems:
        raise CookbookError(problems)
    return replace(draft, steps=steps), warnings


class _Chosen:
    """The choices of one step on their way from what was given to what the service knows."""

    def __init__(self, vault: Vault, settings: Settings, connection: Connection, step: StepDraft) -> None:
        self._vault = vault
        self._settings = settings
        self._connection = connection
        self._specs = kit.fields(integration(step.app).action(step.action).form)
        self.fields: dict[str, Any] = dict(step.fields)
        self.labels: dict[str, str] = {}
        self._labels = step.labels
        self.problems: dict[str, str] = {}
        self.warnings: list[str] = []

    def look_up(self) -> None:
        """Goes through the fields in their order: a later choice may depend on an earlier one."""
        for spec in self._specs:
            value = self.fields.get(spec.name)
            if spec.kind is kit.Kind.CHOICE and isinstance(value, str) and value.strip():
                self._look_up_one(spec, value.strip())

    def _look_up_one(self, spec: kit.FieldSpec, value: str) -> None:
        if any(name in self.problems for name in spec.after):
            return
        chosen: Mapping[str, str] = {name: text for name, text in self.fields.items() if isinstance(text, str)}
        try:
            options = connections.choices(self._vault, self._settings, self._connection, spec, chosen)
        except ActionError as error:
            self.labels[spec.name] = self._labels.get(spec.name, value)
            self.warnings.append(f"{spec.label} “{value}” could not be looked up. {error.sentence}")
            return
        option = _matching(options, value)
        if option is None:
            self.problems[spec.name] = _not_there(spec, value, options)
            return
        self.fields[spec.name] = option.value
        self.labels[spec.name] = option.label


def _matching(options: list[kit.Option], value: str) -> kit.Option | None:
    for option in options:
        if option.value == value:
            return option
    same = [option for option in options if option.label.casefold() == value.casefold()]
    # Two of the same name: only the id says which is meant.
    return same[0] if len(same) == 1 else None


def _not_there(spec: kit.FieldSpec, value: str, options: list[kit.Option]) -> str:
    if not options:
        return f"{spec.label}: there is nothing to choose from yet."
    listed = ", ".join(f"{option.label} ({option.value})" for option in options[:_SHOWN])
    more = ", …" if len(options) > _SHOWN else ""
    return f"{spec.label}: {value} is not among the choices: {listed}{more}."
