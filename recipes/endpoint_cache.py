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
from recipes.endpoints import sample_secret
from recipes.models import Endpoint, Origin
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
    sample_secret: str = field(repr=False)
    loaded_at: float

    def origin_of(self, body: bytes, signature: str, now: datetime) -> Origin | None:
        """Where a signed body comes from: from Pocketsflow, or a sample of ours; None if neither has signed it.

        Pocketsflow's previous secret counts while it is still good.
        """
        if self.secret and is_signed_by(self.secret, body, signature):
            return Origin.WEBHOOK
        if (
            self.previous_secret
            and self.previous_until
            and now < self.previous_until
            and is_signed_by(self.previous_secret, body, signature)
        ):
            return Origin.WEBHOOK
        return Origin.SAMPLE if is_signed_by(self.sample_secret, body, signature) else None


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
        return self._read_within(token, FRESH_SECONDS) or self._load(token, FRESH_SECONDS)

    def find_anew(self, token: str) -> KnownEndpoint | None:
        """The endpoint as the database has it now, or had it a moment ago."""
        return self._read_within(token, RELOAD_SECONDS) or self._load(token, RELOAD_SECONDS)

    def _read_within(self, token: str, seconds: float) -> KnownEndpoint | None:
        known = self._known.get(token)
        return known if known and self._monotonic() - known.loaded_at < seconds else None

    def _load(self, token: str, seconds: float) -> KnownEndpoint | None:
        with self._lock:
            # Of many deliveries that find it stale at once, the first reads it for all.
            known = self._read_within(token, seconds)
            if known:
                return known
            with reading(self._engine) as session:
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
            sample_secret=sample_secret(self._vault, endpoint),
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
