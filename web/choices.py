"""Live choices (channels, audiences, sheets) for the fields of a recipe, kept for a minute."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from integrations.errors import ActionError
from integrations.kit import FieldSpec, Kind, Option
from recipes import connections
from recipes.models import Connection
from recipes.settings import Settings
from recipes.vault import Vault
from web.forms import Choices

FRESH = timedelta(minutes=1)
MOST_KEPT = 500


@dataclass(frozen=True)
class _Kept:
    options: Sequence[Option]
    at: datetime


class LiveChoices:
    """Asks the service once, however often the page is drawn; what failed is asked anew every time."""

    def __init__(self, vault: Vault, settings: Settings) -> None:
        self._vault = vault
        self._settings = settings
        self._kept: dict[tuple[Any, ...], _Kept] = {}
        self._lock = threading.Lock()

    def of_step(
        self,
        connection: Connection | None,
        specs: Sequence[FieldSpec],
        values: Mapping[str, Any],
        now: datetime,
        *,
        may_call: bool,
    ) -> dict[str, Choices]:
        """The choices of a step's fields by name. Call it with no transaction open.

        connection: None while none is chosen. may_call: whether the service is asked, or only what is kept is given.
        """
        return {
            spec.name: self._of_field(connection, spec, specs, values, now, may_call)
            for spec in specs
            if spec.kind is Kind.CHOICE
        }

    def _of_field(
        self,
        connection: Connection | None,
        spec: FieldSpec,
        specs: Sequence[FieldSpec],
        values: Mapping[str, Any],
        now: datetime,
        may_call: bool,
    ) -> Choices:
        if spec.load is None:
            return Choices(spec.options)
        if connection is None:
            return Choices(waits_for="Choose the connection first")
        waits_for = [each.label for each in specs if each.name in spec.after and not values.get(each.name)]
        if waits_for:
            return Choices(waits_for=f"Choose first: {', '.join(waits_for)}")
        chosen = {name: value for name, value in values.items() if isinstance(value, str)}
        key = (connection.id, connection.revision, spec.name, *(chosen.get(name, "") for name in spec.after))
        kept = self._kept.get(key)
        if kept and now - kept.at < FRESH:
            return Choices(kept.options)
        return self._load(key, connection, spec, chosen, now) if may_call else Choices()

    def _load(
        self, key: tuple[Any, ...], connection: Connection, spec: FieldSpec, chosen: Mapping[str, str], now: datetime
    ) -> Choices:
        try:
            options = connections.choices(self._vault, self._settings, connection, spec, chosen)
        except ActionError as error:
            return Choices(problem=f"The choices cannot be loaded: {error.sentence} You can type the id instead.")
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = _Kept(options, now)
        return Choices(options, problem="" if options else "There is nothing to choose from there yet.")
