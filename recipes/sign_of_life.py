"""The engine's signs: files whose times say when its dispatching thread last looked for work, and last got on.

The process may be there and yet hang: stopped, deadlocked, stuck in a call. Then nobody touches the first any more. Or
all that it tries fails: then nobody touches the second. A file's time can be set even where the disk is full.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 1.0
_LONGEST_STEP = 2.0


class SignOfLife:
    """The engine's end. It costs nothing to give the sign often: the file is touched once a second at most."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._next_at = 0.0

    def give(self) -> None:
        """Says that the calling thread is alive."""
        now = self._monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_SECONDS
        try:
            self._path.touch(mode=0o600)
        except OSError as error:
            # The work goes on: that others cannot see it is no reason to stop it.
            logger.warning("the sign of life cannot be given (%s)", error.strerror)


def last_sign(path: Path) -> datetime | None:
    """When the sign was last given; None if there is none."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


class Silence:
    """How long an engine has given no sign, told by looking now and then whether the sign has changed.

    No clock that can be set has a part in it. Of the time between two looks only a little counts: where this process,
    too, stood still (the machine was suspended), the engine gets the time to show itself first.
    """

    def __init__(self, path: Path, *, at_start: float, later: float) -> None:
        """at_start, later: the seconds that are too long before the first sign, and after it."""
        self._path = path
        self._limit = at_start
        self._later = later
        self._seen = last_sign(path)  # an earlier engine's
        self._silent = 0.0
        self._looked_at: float | None = None

    def is_too_long(self, now: float) -> bool:
        """Looks at the sign, at `now` of a monotonic clock; whether the engine has to be taken for hung."""
        sign = last_sign(self._path)
        if sign != self._seen:
            self._seen, self._silent, self._limit = sign, 0.0, self._later
        elif self._looked_at is not None:
            self._silent += min(now - self._looked_at, _LONGEST_STEP)
        self._looked_at = now
        return self._silent > self._limit
