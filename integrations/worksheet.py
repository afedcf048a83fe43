"""Rows of a Google worksheet, each found again by what its key column holds."""

import re
from collections.abc import Mapping
from typing import Any

import gspread
from gspread.utils import absolute_range_name, rowcol_to_a1

from integrations.errors import Permanent

Value = str | int | float

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,4})?")


class Worksheet:
    """A worksheet whose first row names its columns. Names are compared without regard to case and spaces."""

    def __init__(self, client: gspread.HTTPClient, spreadsheet: str, title: str) -> None:
        self._client = client
        self._spreadsheet = spreadsheet
        self._title = title

    def put(self, key_column: str, key: str, columns: Mapping[str, str]) -> bool:
        """Writes the row `key`; columns not named stay as they were. True if the row is new.

        Two calls to Google, three where the key column is not the first or a column is new. Raises Permanent
        where it would have to guess, and what the client raises.
        """
        labels, values = _named(key_column, key, columns)
        header, keys = self._header_and_keys(_compared(key_column))
        places = self._places(header, labels)
        number = next((number for number, found in enumerate(keys, 1) if number > 1 and found == key), None)
        changes: dict[tuple[int, int], Value] = {
            (1, places[name]): label for name, label in labels.items() if name not in header
        }
        if number or not header:
            changes |= {(number or 2, places[name]): value for name, value in values.items()}
        if changes:
            self._change(changes)
        if header and not number:
            self._append({places[name]: value for name, value in values.items()})
        return number is None

    def _header_and_keys(self, key_column: str) -> tuple[list[str], list[str]]:
        """The names in row 1, and the key column. One call where that is column A, as in a sheet begun by us."""
        first_row, first_column = self._read("1:1", "A:A")
        header = [_compared(_text(cell)) for cell in (first_row[0] if first_row else ())]
        if (header or first_column) and not (header and header[0]):
            raise Permanent(f"Cell A1 of {self._title} is empty: the columns' names have to begin there.")
        if key_column not in header:
            return header, []
        place = header.index(key_column)
        letters = rowcol_to_a1(1, place + 1).removesuffix("1")
        column = self._read(f"{letters}:{letters}")[0] if place else first_column
        return header, [_text(row[0]) if row else "" for row in column]

    def _places(self, header: list[str], labels: Mapping[str, str]) -> dict[str, int]:
        """The number of each column, from 1; one that the worksheet lacks gets the next at the right end."""
        for name, label in labels.items():
            if header.count(name) > 1:
                raise Permanent(f"{self._title} has two columns called {label}: rename one of them.")
        whole = header + [name for name in labels if name not in header]
        return {name: whole.index(name) + 1 for name in labels}

    def _read(self, *ranges: str) -> list[list[list[Any]]]:
        """The rows of each range, as far as something is written in them."""
        named = [absolute_range_name(self._title, each) for each in ranges]
        found = self._client.values_batch_get(self._spreadsheet, named, {"valueRenderOption": "UNFORMATTED_VALUE"})
        rows = [each.get("values", []) for each in found.get("valueRanges", ())]
        return rows + [[]] * (len(ranges) - len(rows))

    def _change(self, changes: Mapping[tuple[int, int], Value]) -> None:
        data = [
            {"range": absolute_range_name(self._title, rowcol_to_a1(row, column)), "values": [[value]]}
            for (row, column), value in changes.items()
        ]
        # RAW: what a buyer wrote never becomes a formula.
        self._client.values_batch_update(self._spreadsheet, {"valueInputOption": "RAW", "data": data})

    def _append(self, values: Mapping[int, Value]) -> None:
        row = [values.get(column) for column in range(1, max(values) + 1)]
        # INSERT_ROWS: two writers at once do not land on one row. A1: the row begins in column A, as the names do.
        options: dict[str, Any] = {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"}
        where = absolute_range_name(self._title, "A1")
        self._client.values_append(self._spreadsheet, where, options, {"values": [row]})


def _named(key_column: str, key: str, columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Value]]:
    """Labels and values by compared name, the key column first. The key stays text, so that it is found again."""
    labels = {_compared(key_column): key_column}
    values: dict[str, Value] = {_compared(key_column): key}
    for label, value in columns.items():
        name = _compared(label)
        if not name:
            raise Permanent("One of the recipe's columns has no name: give it one.")
        if name == _compared(key_column):
            continue
        if name in labels:
            raise Permanent(f"The recipe names the column {label} twice: take one of them out.")
        labels[name], values[name] = label.strip(), _typed(value)
    return labels, values


def _typed(text: str) -> Value:
    """A number where the text is a plain one, so that the sheet can add it up; 007 and +49 stay text."""
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _text(cell: Any) -> str:
    """A cell's value as text, a whole number without a decimal point."""
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).strip()


def _compared(name: str) -> str:
    return "".join(name.split()).casefold()
