"""What is said of an event type and of a fact."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_SAMPLES = Path(__file__).parent / "samples"

FactKind = Literal["text", "number", "money", "time", "yes_no"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that an event can say, under the same name in every event: `buyer.email`.

    kind: text is a str, number and money a Decimal (money in major units: 64.99 dollars), time an aware datetime
    in UTC, yes_no a bool. Any fact is None when the event does not say.
    """

    name: str
    label: str
    kind: FactKind = "text"


@dataclass(frozen=True, slots=True)
class EventType:
    """One of the events that Pocketsflow sends.

    sentence: what happened. when: completes "When …, …". facts: what it can say besides `payload.…`.
    twin: the other name under which the same thing is told; of the two only the first to arrive is kept, so recipes
    for either run on it.
    """

    name: str
    family: str
    title: str
    sentence: str
    when: str
    facts: tuple[Fact, ...]
    twin: str | None = None

    def sample(self) -> dict[str, Any]:
        """A sample body, made anew at each call."""
        body: dict[str, Any] = json.loads((_SAMPLES / f"{self.name}.json").read_text("utf-8"))
        return body
