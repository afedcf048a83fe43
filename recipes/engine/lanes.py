"""Lanes: what must happen in order. Locks: what must not happen at once."""

import hashlib
import re
from urllib.parse import quote

from integrations import integration
from integrations.errors import Permanent
from recipes.definition import Step

_LONGEST_NAME = 150
_LOCK = re.compile(r"[^:/]*:[^:/]*/[^:]*:")


def lane_of(step: Step, *, subject: str | None, event_id: int) -> str:
    """The lane of a step: its connection, the thing that its action takes one at a time, if any, and the buyer.

    Such as "mailchimp:3:ada@example.com", "google_sheets:5/1AbC/Orders:ada@example.com". An event about nobody shares
    its lane with no other.
    """
    thing = "".join("/" + _name(step.fields.get(field, "")) for field in _one_at_a_time(step))
    return f"{step.app}:{step.connection_id}{thing}:{subject or f'#{event_id}'}"


def lock_of(lane: str) -> str | None:
    """How all lanes of one thing begin, such as "google_sheets:5/1AbC/Orders:": of their runs one is under way at most.

    None if the lane is for no such thing. Nor is one from before there were locks: "google_sheets:5" alone, whose runs
    happen one after another, but perhaps beside a newer one for the same sheet.
    """
    found = _LOCK.match(lane)
    return found[0] if found else None


def _one_at_a_time(step: Step) -> tuple[str, ...]:
    try:
        return integration(step.app).action(step.action).one_at_a_time
    except (KeyError, Permanent):
        return ()  # the action is gone: the run is made all the same, and says so when it fails


def _name(value: object) -> str:
    """A choice's value, without the marks that part a lane; a very long one shortened to what tells it apart."""
    name = quote(str(value).strip(), safe=" ", errors="replace")
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()
