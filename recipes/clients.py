"""Clients of services: made once per connection and revision, kept, and shared by the engine's threads."""

import json
import threading
from collections.abc import Mapping
from typing import Any

from integrations import integration, kit
from integrations.errors import Unauthorized
from recipes.vault import CannotOpen, Place, Vault


class ClientCache:
    """Keeps the client of a connection until the connection is changed."""

    def __init__(self, vault: Vault, api_base: Mapping[str, str]) -> None:
        self._vault = vault
        self._api_base = api_base
        self._clients: dict[int, tuple[int, Any]] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, app: str, connection_id: int, revision: int, credentials: bytes) -> Any:
        """The client of a connection. Raises Unauthorized if its stored credentials cannot be used."""
        with self._lock:
            lock = self._locks.setdefault(connection_id, threading.Lock())
        # One lock a connection: making a client may take a while (keys to load), and others need not wait for it.
        with lock:
            kept = self._clients.get(connection_id)
            if kept and kept[0] == revision:
                return kept[1]
            client = self._make(app, connection_id, credentials)
            self._clients[connection_id] = (revision, client)
            return client

    def _make(self, app: str, connection_id: int, credentials: bytes) -> Any:
        declared = integration(app)
        try:
            opened = self._vault.open(credentials, Place("connection", "credentials", str(connection_id)))
            form = kit.validate(declared.credentials, json.loads(opened))
        except (CannotOpen, kit.FormError) as error:
            raise Unauthorized(f"The stored credentials for {declared.title} cannot be used any more.") from error
        return declared.connect(form, self._api_base.get(app) or declared.base)
