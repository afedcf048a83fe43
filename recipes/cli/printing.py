"""How commands print: calm tables, and JSON for programs."""

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

_GAP = "  "
_NARROWEST = 32


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, with or without headings; the last column wraps, or goes below where there is little room for it."""
    lines = [[harmless(cell) for cell in line] for line in ([headings, *rows] if headings else rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*(line[:-1] for line in lines), strict=True)]
    left = sum(width + len(_GAP) for width in widths)
    across = shutil.get_terminal_size((100, 24)).columns
    is_below = across - left < _NARROWEST
    if is_below:
        left = widths[0] + len(_GAP)
    for line in lines:
        start = "".join(cell.ljust(width) + _GAP for cell, width in zip(line[:-1], widths, strict=True))
        first, *more = ["", *_wrapped(line[-1], across - left)] if is_below else _wrapped(line[-1], across - left)
        for text in (start + first, *(" " * left + each for each in more)):
            click.echo(text.rstrip())


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def harmless(cell: str) -> str:
    """Without control characters: a terminal obeys them, and some cells hold what buyers wrote."""
    return "".join(character if character.isprintable() else " " for character in cell)


def print_json(item: Any) -> None:
    """A plain value, a dataclass or a list of them as JSON; times in ISO 8601."""
    click.echo(json.dumps(item, ensure_ascii=False, indent=2, default=_plain))


def moment(at: datetime | None) -> str:
    """A time to read, in the machine's own time zone; "" for none."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
