"""How much a service takes, per connection: calls at once, calls in a minute, and pauses it asked for."""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import select
from sqlmodel import Session, col

from integrations import INTEGRATIONS
from recipes.batches import is_one_of
from recipes.models import ConnectionPace

# Nobody is left alone for longer, whatever a service asks for.
LONGEST_REST = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_CONCURRENT = {each.name: each.concurrent for each in INTEGRATIONS}
MOST_CONCURRENT = max(_CONCURRENT.values())
_PER_MINUTE = {each.name: each.per_minute for each in INTEGRATIONS}


class Pace(Protocol):
    """What a claim asks of the limits and tells them."""

    def room(self, connection_id: int, app: str, running: Mapping[int | None, int], now: datetime) -> int:
        """How many more calls the connection takes now."""

    def called(self, connection_id: int, app: str, count: int, now: datetime) -> None:
        """Notes that so many calls begin."""


class Limits:
    """Kept in the memory of the one engine. After a restart a service may be asked a little more than its minute."""

    def __init__(self) -> None:
        self._calls: dict[int, deque[datetime]] = defaultdict(deque)
        self._rests_until: dict[int, datetime] = {}
        self._latest = datetime.min.replace(tzinfo=UTC)

    def room(self, connection_id: int, app: str, running: Mapping[int | None, int], now: datetime) -> int:
        """How many more calls the connection takes now."""
        self._follow(now)
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

    def _follow(self, now: datetime) -> None:
        # A clock set back by an hour would let a connection rest for that much longer, or fill its minute for an hour.
        back = self._latest - now
        if back > timedelta(0):
            self._calls = defaultdict(
                deque, {each: deque(at - back for at in calls) for each, calls in self._calls.items()}
            )
            self._rests_until = {each: until - back for each, until in self._rests_until.items()}
        self._latest = now

    def rest(self, connection_id: int, until: datetime) -> None:
        """Notes that the service asked to be left alone until then."""
        self._rests_until[connection_id] = max(until, self._rests_until.get(connection_id, until))


class SharedLimits:
    """Kept in the database, for engines on several machines. Whoever asks holds the connection's claim lock.

    connections: those that will be asked about, which are looked up together. Any other is looked up when it is.
    """

    def __init__(self, session: Session, connections: Collection[int] = ()) -> None:
        self._session = session
        self._paces: dict[int, ConnectionPace | None] = dict.fromkeys(connections)
        found = select(ConnectionPace).where(
            is_one_of(session.connection(), col(ConnectionPace.connection_id), connections)
        )
        for pace in session.execute(found).scalars() if connections else ():
            self._paces[pace.connection_id] = pace

    def room(self, connection_id: int, app: str, running: Mapping[int | None, int], now: datetime) -> int:
        """How many more calls the connection takes now."""
        self._follow(connection_id, now)
        if self.free_at(connection_id, app, now) > now:
            return 0
        room = _CONCURRENT.get(app, 1) - running.get(connection_id, 0)
        per_minute = _PER_MINUTE.get(app)
        if per_minute is not None:
            room = min(room, per_minute - len(self._calls(connection_id, now)))
        return max(room, 0)

    def called(self, connection_id: int, app: str, count: int, now: datetime) -> None:
        """Notes that so many calls begin."""
        if count and _PER_MINUTE.get(app) is not None:
            pace = self._pace(connection_id)
            pace.calls = [*self._calls(connection_id, now), *[now.timestamp()] * count]
            self._session.flush()

    def _follow(self, connection_id: int, now: datetime) -> None:
        # What stands for later than it can be is of a clock that was set back since. When it was is not known, but not
        # after now.
        pace = self._known(connection_id)
        if pace is None:
            return
        if any(call > now.timestamp() for call in pace.calls):
            pace.calls = [min(call, now.timestamp()) for call in pace.calls]
        if pace.rests_until and pace.rests_until > now + LONGEST_REST:
            pace.rests_until = now + LONGEST_REST

    def rest(self, connection_id: int, until: datetime) -> None:
        """Notes that the service asked to be left alone until then."""
        pace = self._pace(connection_id)
        pace.rests_until = max(until, pace.rests_until or until)
        self._session.flush()

    def free_at(self, connection_id: int, app: str, now: datetime) -> datetime:
        """When the service has rested and its minute has room again; `now` if that is so already."""
        pace = self._known(connection_id)
        at = max(now, (pace and pace.rests_until) or now)
        per_minute, calls = _PER_MINUTE.get(app), self._calls(connection_id, now)
        if per_minute is not None and len(calls) >= per_minute:
            at = max(at, datetime.fromtimestamp(calls[-per_minute], UTC) + _MINUTE)
        return at

    def _calls(self, connection_id: int, now: datetime) -> Sequence[float]:
        pace = self._known(connection_id)
        began = (now - _MINUTE).timestamp()
        return [call for call in pace.calls if call > began] if pace else []

    def _pace(self, connection_id: int) -> ConnectionPace:
        pace = self._known(connection_id)
        if pace is None:
            pace = self._paces[connection_id] = ConnectionPace(connection_id=connection_id, calls=[])
            self._session.add(pace)
        return pace

    def _known(self, connection_id: int) -> ConnectionPace | None:
        if connection_id not in self._paces:
            self._paces[connection_id] = self._session.get(ConnectionPace, connection_id)
        return self._paces[connection_id]
