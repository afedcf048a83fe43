"""Lanes: what must happen one after another."""

from integrations import integration
from integrations.errors import Permanent
from recipes.definition import Step


def lane_of(step: Step, *, subject: str | None, event_id: int) -> str:
    """The lane of a step: its connection and the buyer; the connection alone where an action asks for that.

    An event about nobody shares its lane with no other.
    """
    place = f"{step.app}:{step.connection_id}"
    if _is_one_at_a_time(step):
        return place
    return f"{place}:{subject}" if subject else f"{place}:#{event_id}"


def _is_one_at_a_time(step: Step) -> bool:
    try:
        return integration(step.app).action(step.action).one_at_a_time
    except (KeyError, Permanent):
        return False  # the action is gone: the run is made all the same, and says so when it fails
