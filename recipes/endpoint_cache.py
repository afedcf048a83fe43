"""Endpoints by token, kept in memory for the receiver: it verifies without asking the database."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import select

from recipes.db import reading
from recipes.models import Endpoint
from recipes.pocketsflow.signature import is_signed_by
from recipes.vault import CannotOpen, Place, Vault

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
RELOAD_SECONDS = 1.0


@dataclass(frozen=True)
class KnownEndpoint:
    """What the receiver needs of an endpoint. `loaded_at` is on the monotonic clock, in seconds."""

    id: int
    merchant_id: int
    mode: str
    secret: str | None = field(repr=False)
    previous_secret: str | None = field(repr=False)
    previous_until: datetime | None
    loaded_at: float

    def verifies(self, body: bytes, signature: str, now: datetime) -> bool:
        """Whether the body is signed with the secret, or with the previous one while that is still good."""
        if self.secret and is_signed_by(self.secret, body, signature):
            return True
        return bool(
            self.previous_secret
            and self.previous_until
            and now < self.previous_until
            and is_signed_by(self.previous_secret, body, signature)
        )


class EndpointCache:
    """Finds endpoints by token. What another process changed is seen within FRESH_SECONDS.

    A delivery that would be refused makes the endpoint be read anew first (at most once in RELOAD_SECONDS), so a
    secret that was just set works at once. While the database is away, what was known before stays good.
    """

    def __init__(self, engine: Engine, vault: Vault, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._vault = vault
        self._monotonic = monotonic
        self._known: dict[str, KnownEndpoint] = {}
        self._lock = threading.Lock()

    def load_all(self) -> None:
        """Reads every endpoint, so that deliveries can be verified even if the database goes away."""
        with reading(self._engine) as session:
            found = session.exec(select(Endpoint)).all()
        for endpoint in found:
            self._keep(endpoint)

    def find(self, token: str) -> KnownEndpoint | None:
        """The endpoint with this token, read anew if what is known is no longer fresh."""
        known = self._known.get(token)
        if known and self._monotonic() - known.loaded_at < FRESH_SECONDS:
            return known
        return self._load(token)

    def find_anew(self, token: str, seen: KnownEndpoint) -> KnownEndpoint | None:
        """The endpoint as the database has it now; `seen` itself if it was read a moment ago."""
        if self._monotonic() - seen.loaded_at < RELOAD_SECONDS:
            return seen
        return self._load(token)

    def _load(self, token: str) -> KnownEndpoint | None:
        with self._lock, reading(self._engine) as session:
            endpoint = session.exec(select(Endpoint).where(Endpoint.token == token)).first()
            if endpoint is None:
                self._known.pop(token, None)
                return None
            return self._keep(endpoint)

    def known(self, token: str) -> KnownEndpoint | None:
        """What is remembered of the endpoint, however old."""
        return self._known.get(token)

    def _keep(self, endpoint: Endpoint) -> KnownEndpoint:
        if endpoint.id is None:
            raise ValueError("an endpoint that is not stored cannot be known")
        known = KnownEndpoint(
            id=endpoint.id,
            merchant_id=endpoint.merchant_id,
            mode=endpoint.mode,
            secret=self._open(endpoint.secret, "secret", endpoint.token),
            previous_secret=self._open(endpoint.previous_secret, "previous_secret", endpoint.token),
            previous_until=endpoint.previous_until,
            loaded_at=self._monotonic(),
        )
        self._known[endpoint.token] = known
        return known

    def _open(self, sealed: bytes | None, column: str, token: str) -> str | None:
        if sealed is None:
            return None
        try:
            return self._vault.open(sealed, Place("endpoint", column, token))
        except CannotOpen:
            # One endpoint's trouble must not keep the others' deliveries out. Its own are refused, and counted.
            logger.critical("an endpoint's secret does not open: was POCKETWIRE_CREDENTIALS_KEY changed?")
            return None
