"""What a recipe does, as it is saved: plain models that become JSON and back."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from recipes import waits


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Condition(_Saved):
    """One row of "only if": a fact's name, an operator of recipes.conditions, and what to compare with."""

    fact: str
    operator: str
    value: str = ""


class Step(_Saved):
    """One action and its fields. Text is a Liquid template, save for choices, which are taken as they are.

    `connection_id` is None as long as the merchant has chosen none, as in a prebuilt recipe. `labels` are choices as
    people read them ("#reviews"), by the field's name; the fields hold what the service knows them by. `wait`: how long
    after the step before it, or after its event came, it is done ("3 days"); "" for at once.
    """

    app: str
    action: str
    connection_id: int | None = None
    fields: dict[str, str | int | bool | dict[str, str]] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    wait: str = ""

    @field_validator("wait")
    @classmethod
    def _normalized(cls, wait: str) -> str:
        return waits.normalized(wait)

    @model_serializer(mode="wrap")
    def _as_stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # One without a wait stands as it always did: an earlier version can read it, too.
        stored: dict[str, Any] = serialize(self)
        return stored if self.wait else {name: value for name, value in stored.items() if name != "wait"}


class Definition(_Saved):
    """When an event of this type comes and the conditions hold, the steps are done one after another."""

    event: str
    match: Literal["all", "any"] = "all"
    conditions: list[Condition] = Field(default_factory=list)
    steps: list[Step] = Field(min_length=1)


# What is said of a run whose recipe is stored and cannot be read.
UNREADABLE = "This recipe cannot be read any more, and nothing was done. Set it up and save it, then run this again."


def readable(stored: Mapping[str, Any]) -> Definition | None:
    """A stored definition; None if it is none any more, as after a change of release. Nobody else waits for that."""
    try:
        return Definition.model_validate(stored)
    except ValidationError:
        return None
