"""Lanes: what must happen one after another."""

from integrations import integration
from recipes.definition import Step


def lane_of(step: Step, *, subject: str | None, event_id: int) -> str:
    """The lane of a step: its connection and the buyer; the connection alone where an action asks for that.

    An event about nobody shares its lane with no other.
    """
    place = f"{step.app}:{step.connection_id}"
    if integration(step.app).action(step.action).one_at_a_time:
        return place
    return f"{place}:{subject}" if subject else f"{place}:#{event_id}"
