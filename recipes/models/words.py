"""The words that columns hold, and the states of a run by what they have in common."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, literal_column


class Mode(StrEnum):
    """Which of a store's two sides an endpoint belongs to."""

    LIVE = "live"
    TEST = "test"


class RunsOn(StrEnum):
    """Which events a recipe takes."""

    LIVE = "live"
    TEST = "test"
    BOTH = "both"


class Origin(StrEnum):
    """How an event came to us."""

    WEBHOOK = "webhook"
    RECONCILED = "reconciled"
    SAMPLE = "sample"  # sent by us, to try recipes out: it runs, and counts for nothing


class Standing(StrEnum):
    """Whether an event can run recipes, and if not, why."""

    READY = "ready"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    SUSPICIOUS = "suspicious"


class ConnectionState(StrEnum):
    """A paused connection holds its runs until it is reconnected."""

    ACTIVE = "active"
    PAUSED = "paused"


class RunState(StrEnum):
    """Where a run is. queued, running, waiting and held are open: they have a place on their lane.

    delayed: waits for as long as its recipe says, and stands on no lane until then. The rest are ends, unsure awaits a
    word.
    """

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    DELAYED = "delayed"
    UNSURE = "unsure"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATES = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD)
DUE_STATES = (RunState.QUEUED, RunState.WAITING)
DELAYED_STATES = (RunState.DELAYED,)
UNFINISHED_STATES = (*OPEN_STATES, *DELAYED_STATES)
TROUBLED_STATES = (RunState.UNSURE, RunState.FAILED)


def among(state: Any, states: Sequence[RunState]) -> ColumnElement[bool]:
    """The condition that a run's state is one of OPEN_STATES, DUE_STATES, DELAYED_STATES or TROUBLED_STATES.

    Each has an index of its own. SQLite uses a partial one only where its condition stands in the statement, word for
    word and in that order; values that are bound later do not count.
    """
    condition: ColumnElement[bool] = state.in_([literal_column(f"'{each}'") for each in states])
    return condition


class Kept(StrEnum):
    """What becomes of the events that came while a recipe was off."""

    OFFERED = "offered"  # while it is off, and then until the merchant's word
    RUNNING = "running"  # the engine makes runs of them
    DONE = "done"
    LEFT = "left"


class AttemptResult(StrEnum):
    """How one try ended."""

    SUCCEEDED = "succeeded"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    UNAUTHORIZED = "unauthorized"
    UNSURE = "unsure"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"  # none was made: something spoke against the step, and the run went on without it
