"""What an action is given in these tests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from integrations.kit import Call, Integration, Outcome, validate

NOW = datetime(2026, 7, 24, 12, 0, tzinfo=UTC)
KEY = "run-7-step-1"


class RowsInMemory:
    """Rows by table and key, kept as long as the test."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, str]] = {}

    def put(self, table: str, key: str, values: Mapping[str, str]) -> bool:
        """As integrations.kit.Rows says."""
        is_new = (table, key) not in self.kept
        self.kept.setdefault((table, key), {}).update(values)
        return is_new


def call(client: Any, rows: RowsInMemory | None = None) -> Call:
    """A call with a fixed key and time."""
    return Call(client=client, key=KEY, now=NOW, rows=rows or RowsInMemory())


def perform(app: Integration, client: Any, action: str, values: Mapping[str, Any]) -> Outcome:
    """Performs an action as the engine does: values after mapping in; an ActionError, and nothing else, out."""
    declared = app.action(action)
    form = validate(declared.form, values)
    try:
        return declared.perform(call(client), form)
    except Exception as error:  # noqa: BLE001 - whatever a client raises, the integration has to read it
        raise app.error(error) from None
