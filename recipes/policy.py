"""What follows from a failed try. Pure: the time and the jitter are given."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from integrations.errors import ActionError, Temporary, Unauthorized, Unsure

SCHEDULE = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
)
LONGEST_WAIT_ASKED = timedelta(hours=24)
# Between two tries, with the most that jitter adds.
LONGEST_WAIT = SCHEDULE[-1] * 1.2


@dataclass(frozen=True)
class Again:
    """Try again at this time."""

    at: datetime


@dataclass(frozen=True)
class Stop:
    """The run has failed."""


@dataclass(frozen=True)
class Pause:
    """The connection pauses, and the run waits with it."""


@dataclass(frozen=True)
class AskMerchant:
    """It may have happened, and must not happen twice: the merchant looks and decides."""


Decision = Again | Stop | Pause | AskMerchant


def decide(error: ActionError, attempt: int, repeatable: bool, now: datetime, jitter: float) -> Decision:
    """What happens after try number `attempt` (1 is the first) ended in `error`.

    jitter: in [-0.2, 0.2], the share by which a wait is made shorter or longer. A wait that the service asked
    for is never cut short, but nobody makes us wait for more than a day.
    """
    if isinstance(error, Unauthorized):
        return Pause()
    if isinstance(error, Unsure) and not repeatable:
        return AskMerchant()
    if not isinstance(error, Temporary | Unsure) or attempt > len(SCHEDULE):
        return Stop()
    wait = SCHEDULE[attempt - 1] * (1 + jitter)
    if isinstance(error, Temporary) and error.after is not None:
        wait = max(wait, min(error.after, LONGEST_WAIT_ASKED))
    return Again(now + wait)
