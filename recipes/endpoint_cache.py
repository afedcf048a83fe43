"""Endpoints by token, kept in memory for the receiver: it verifies without asking the database."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from recipes.db import reading
from recipes.endpoints import present_secret, previous_secrets, sample_secret
from recipes.models import Endpoint
from recipes.pocketsflow.signature import is_signed_by
from recipes.vault import CannotOpen, Vault

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
AWAY_SECONDS = 1.0


class Signer(Enum):
    """Whose secret signed a body: Pocketsflow's, one of its from before that is still good, or our own for samples."""

    POCKETSFLOW = auto()
    POCKETSFLOW_BEFORE = auto()
    OURSELVES = auto()


@dataclass(frozen=True)
class KnownEndpoint:
    """What the receiver needs of an endpoint. `loaded_at` is on the monotonic clock, in seconds."""

    id: int
    merchant_id: int
    mode: str
    secret: str | None = field(repr=False)
    previous_secrets: Sequence[str] = field(repr=False)
    previous_until: datetime | None
    sample_secret: str = field(repr=False)
    loaded_at: float

    def signer_of(self, body: bytes, signature: str, now: datetime) -> Signer | None:
        """Who has signed the body; None if nobody who may."""
        if self.secret and is_signed_by(self.secret, body, signature):
            return Signer.POCKETSFLOW
        is_good = self.previous_until is not None and now < self.previous_until
        if is_good and any(is_signed_by(secret, body, signature) for secret in self.previous_secrets):
            return Signer.POCKETSFLOW_BEFORE
        return Signer.OURSELVES if is_signed_by(self.sample_secret, body, signature) else None


class EndpointCache:
    """Finds endpoints by token. What another process changed is seen within FRESH_SECONDS.

    A delivery that would be refused makes the endpoint be read anew first, so a secret that was just set works at once.
    While the database is away, what was known before stays good.
    """

    def __init__(self, engine: Engine, vault: Vault, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._vault = vault
        self._monotonic = monotonic
        self._known: dict[str, KnownEndpoint] = {}
        self._lock = threading.Lock()
        self._away: SQLAlchemyError | None = None
        self._away_until = 0.0

    def load_all(self) -> None:
        """Reads every endpoint, so that deliveries can be verified even if the database goes away."""
        began = self._monotonic()
        with reading(self._engine) as session:
            found = session.exec(select(Endpoint)).all()
        for endpoint in found:
            self._keep(endpoint, began)

    def find(self, token: str) -> KnownEndpoint | None:
        """The endpoint with this token, read anew if what is known is no longer fresh."""
        since = self._monotonic() - FRESH_SECONDS
        return self._read_since(token, since) or self._load(token, since)

    def find_anew(self, token: str) -> KnownEndpoint | None:
        """The endpoint as the database has it now."""
        return self._load(token, self._monotonic())

    def _read_since(self, token: str, since: float) -> KnownEndpoint | None:
        known = self._known.get(token)
        return known if known and known.loaded_at > since else None

    def _load(self, token: str, since: float) -> KnownEndpoint | None:
        with self._lock:
            # Of many deliveries that wait here at once, the first reads it for all.
            known = self._read_since(token, since)
            if known:
                return known
            began = self._monotonic()
            endpoint = self._read(token)
            if endpoint is None:
                self._known.pop(token, None)
                return None
            return self._keep(endpoint, began)

    def _read(self, token: str) -> Endpoint | None:
        # A database that is away may take seconds to say so: only one delivery in a while asks it.
        if self._away is not None and self._monotonic() < self._away_until:
            raise self._away
        try:
            with reading(self._engine) as session:
                endpoint = session.exec(select(Endpoint).where(Endpoint.token == token)).first()
        except SQLAlchemyError as error:
            self._away, self._away_until = error, self._monotonic() + AWAY_SECONDS
            raise
        self._away = None
        return endpoint

    def known(self, token: str) -> KnownEndpoint | None:
        """What is remembered of the endpoint, however old."""
        return self._known.get(token)

    def _keep(self, endpoint: Endpoint, began: float) -> KnownEndpoint:
        if endpoint.id is None:
            raise ValueError("an endpoint that is not stored cannot be known")
        known = KnownEndpoint(
            id=endpoint.id,
            merchant_id=endpoint.merchant_id,
            mode=endpoint.mode,
            secret=next(iter(self._opened(present_secret, endpoint)), None),
            previous_secrets=self._opened(previous_secrets, endpoint),
            previous_until=endpoint.previous_until,
            sample_secret=sample_secret(self._vault, endpoint),
            # When the reading began: what was changed since is not in it.
            loaded_at=began,
        )
        self._known[endpoint.token] = known
        return known

    def _opened(self, find: Callable[[Vault, Endpoint], list[str]], endpoint: Endpoint) -> list[str]:
        try:
            return find(self._vault, endpoint)
        except CannotOpen:
            # One endpoint's trouble must not keep the others' deliveries out. Its own are refused, and counted.
            logger.critical("an endpoint's secret does not open: was POCKETWIRE_CREDENTIALS_KEY changed?")
            return []
