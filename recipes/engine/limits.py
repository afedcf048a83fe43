"""How much a service takes, per connection: calls at once, calls in a minute, and pauses it asked for."""

from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from integrations import INTEGRATIONS

_MINUTE = timedelta(minutes=1)
_CONCURRENT = {each.name: each.concurrent for each in INTEGRATIONS}
_PER_MINUTE = {each.name: each.per_minute for each in INTEGRATIONS}


class Limits:
    """Kept in the memory of the one engine. After a restart a service may be asked a little more than its minute."""

    def __init__(self) -> None:
        self._calls: dict[int, deque[datetime]] = defaultdict(deque)
        self._rests_until: dict[int, datetime] = {}

    def room(self, connection_id: int, app: str, running: Mapping[int | None, int], now: datetime) -> int:
        """How many more calls the connection takes now."""
        if self._rests_until.get(connection_id, now) > now:
            return 0
        room = _CONCURRENT.get(app, 1) - running.get(connection_id, 0)
        per_minute = _PER_MINUTE.get(app)
        if per_minute is not None:
            calls = self._calls[connection_id]
            while calls and calls[0] <= now - _MINUTE:
                calls.popleft()
            room = min(room, per_minute - len(calls))
        return max(room, 0)

    def called(self, connection_id: int, app: str, count: int, now: datetime) -> None:
        """Notes that so many calls begin."""
        if _PER_MINUTE.get(app) is not None:
            self._calls[connection_id].extend([now] * count)

    def rest(self, connection_id: int, until: datetime) -> None:
        """Notes that the service asked to be left alone until then."""
        self._rests_until[connection_id] = max(until, self._rests_until.get(connection_id, until))
