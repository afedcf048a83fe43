"""Whether something that used to come has stopped coming. Pure: the times are given."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

MANY = 20
A_WHILE = timedelta(days=7)
HISTORY = timedelta(days=30)
_TIMES_LONGER = 3


@dataclass(frozen=True)
class Rhythm:
    """How something used to come: how often at least, the first and the last time looked at, the longest pause."""

    count: int
    first: datetime
    last: datetime
    longest: timedelta


def rhythm_of(times: Iterable[datetime]) -> Rhythm | None:
    """The rhythm of these times, in any order; None of none."""
    ordered = sorted(times)
    if not ordered:
        return None
    longest = max((later - earlier for earlier, later in pairwise(ordered)), default=timedelta())
    return Rhythm(len(ordered), ordered[0], ordered[-1], longest)


def is_quiet(rhythm: Rhythm, now: datetime, *, at_least: timedelta) -> bool:
    """Whether it has not come for much longer than usual: three times its longest pause, and `at_least`.

    Never of what came fewer than 20 times, or only within a week: that has no rhythm yet.
    """
    if rhythm.count < MANY or rhythm.last - rhythm.first < A_WHILE:
        return False
    return now - rhythm.last > max(at_least, _TIMES_LONGER * rhythm.longest)


def shortest_pause_that_counts(at_least: timedelta) -> timedelta:
    """Pauses shorter than this make no difference to `is_quiet`."""
    return at_least / _TIMES_LONGER
