"""Slows down whoever guesses passwords. Kept in memory: it starts anew with the service."""

import threading
from collections import deque
from datetime import datetime, timedelta

MOST_FAILURES = 10
WINDOW = timedelta(minutes=10)
MOST_KEYS = 10_000


class Throttle:
    """Counts failures by a key, such as an e-mail address, over the last ten minutes."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[datetime]] = {}
        self._lock = threading.Lock()

    def is_closed(self, key: str, now: datetime) -> bool:
        """Whether `key` has failed too often to try again now."""
        with self._lock:
            failures = self._failures.get(key)
            if failures is None:
                return False
            while failures and now - failures[0] >= WINDOW:
                failures.popleft()
            if not failures:
                del self._failures[key]
            return len(failures) >= MOST_FAILURES

    def failed(self, key: str, now: datetime) -> None:
        """Counts a failure."""
        with self._lock:
            if len(self._failures) >= MOST_KEYS:
                # Whoever tries ten thousand names must not fill our memory: the oldest is forgotten.
                del self._failures[next(iter(self._failures))]
            self._failures.setdefault(key, deque(maxlen=MOST_FAILURES)).append(now)

    def succeeded(self, key: str) -> None:
        """Forgets the failures of `key`."""
        with self._lock:
            self._failures.pop(key, None)
