"""Reads prebuilt recipes from their files."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recipes.definition import Condition, Step
from recipes.events import EVENT_TYPES

_FOLDER = Path(__file__).parent
PLACEHOLDER = re.compile(r" ?\{(\w+)\}")


class PrebuiltError(ValueError):
    """A prebuilt recipe has a mistake; the text names the file and says which."""


class Prebuilt(BaseModel):
    """A recipe that needs only the merchant's connection and choices.

    name: "customer.created/mailchimp-add-buyer". sentence: what it does, with {channel} where a choice goes.
    needs: what has to be there for it to work, in words. twin: the name of the recipe that undoes this one.
    Its steps have all fields filled in but the choices, which are the merchant's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    event: str
    title: str
    sentence: str
    needs: str = ""
    twin: str | None = None
    match: Literal["all", "any"] = "all"
    conditions: tuple[Condition, ...] = ()
    steps: tuple[Step, ...] = Field(min_length=1)

    def sentence_with(self, chosen: Mapping[str, str], waits: Sequence[str] | None = None) -> str:
        """The sentence with what was chosen, by the field's name ("#reviews"); what is not chosen yet is left out.

        waits: how long each step waits, as the merchant has it.
        """
        filled = {name: value for step in self.steps for name, value in step.fields.items() if isinstance(value, str)}
        filled.update(chosen)
        sentence = PLACEHOLDER.sub(lambda found: f" {filled[found[1]]}" if filled.get(found[1]) else "", self.sentence)
        first, *later = waits if waits is not None else [step.wait for step in self.steps]
        when, _, what = sentence.partition(", ")
        said = [f"{when}, {first} later, {what}" if first and what else sentence]
        return " ".join([*said, *(f"Step {number}: {wait} later." for number, wait in enumerate(later, 2) if wait)])


def read(folder: Path = _FOLDER) -> Mapping[str, Prebuilt]:
    """The recipes of a folder by name, in the order of the events. Raises PrebuiltError for one that is malformed."""
    events = [each.name for each in EVENT_TYPES]
    files = sorted(folder.glob("*/*.toml"))
    strays = [file for file in files if file.parent.name not in events]
    if strays:
        raise PrebuiltError(
            f"{strays[0].parent.name}/{strays[0].name}: there is no event called {strays[0].parent.name}."
        )
    files.sort(key=lambda file: (events.index(file.parent.name), file.name))
    recipes = [_read_one(file) for file in files]
    return MappingProxyType({recipe.name: recipe for recipe in recipes})


def _read_one(file: Path) -> Prebuilt:
    event = file.parent.name
    name = f"{event}/{file.stem}"
    try:
        return Prebuilt(name=name, event=event, **tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise PrebuiltError(f"{name}: {error}") from error
