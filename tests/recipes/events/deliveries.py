"""Deliveries to try the events with, and an endpoint's memory of what happened."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from recipes.events import event_type
from recipes.events.identity import about, identify
from recipes.events.keys import Identity
from recipes.events.reading import Reading, read
from tests.conftest import NOW

SUBSCRIBER = "6a43ce05fae6c4f0cb5a2193"
MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_PAYLOADS = Path(__file__).parent / "payloads"


def sample(name: str, **changes: Any) -> dict[str, Any]:
    """The sample body of an event, with top-level values replaced (None: taken out)."""
    known = event_type(name)
    assert known is not None
    return _changed(known.sample(), changes)


def variant(name: str, **changes: Any) -> dict[str, Any]:
    """A body of another documented shape."""
    return _changed(json.loads((_PAYLOADS / f"{name}.json").read_text()), changes)


def _changed(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def subscriber(status: str = "active", **more: Any) -> dict[str, Any]:
    """A buyer's subscription as bodies tell of it."""
    state = {"active": True, "cancelAtPeriodEnd": False, "paused": False}
    return {"id": SUBSCRIBER, "status": status, **state, **more}


def packed(body: Any) -> bytes:
    """A body as it is sent."""
    return json.dumps(body, separators=(",", ":")).encode()


def reading_of(body: Any, header: str | None = None, sent: str | None = None, at: datetime = NOW) -> Reading:
    """What is read from a body."""
    raw = body if isinstance(body, bytes) else packed(body)
    return read(raw, event_header=header, timestamp_header=sent, received_at=at)


def identity_of(body: Any, header: str | None = None, *, memory: Any = None, at: datetime = NOW) -> Identity:
    """A body's identity."""
    return identify(reading_of(body, header), packed(body), received_at=at, memory=memory)


class Books:
    """One endpoint's claimed keys and memories. Memories go through JSON, as in the database."""

    def __init__(self) -> None:
        self.claimed: dict[str, datetime | None] = {}
        self.memories: dict[str, Any] = {}

    def takes(self, header: str, body: Any, at: datetime = NOW, sent: str | None = None) -> bool:
        """Whether the delivery is new. sent: its time stamp, if it has one."""
        reading = reading_of(body, header, sent, at)
        name = about(reading)
        found = identify(
            reading, packed(body), received_at=at, memory=self.memories.get(name) if name is not None else None
        )
        if any(key.text in self.claimed and self._holds(key.text, at) for key in found.keys if not key.noted):
            return False
        self.claimed |= {key.text: key.until for key in found.keys}
        if name is not None and found.memory is not None:
            self.memories[name] = json.loads(json.dumps(found.memory))
        return True

    def _holds(self, key: str, at: datetime) -> bool:
        until = self.claimed[key]
        return until is None or at < until
