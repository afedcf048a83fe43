"""Pages of a long list, the newest first, each beginning below the last id of the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

LARGEST_PAGE = 200

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items, and the id to ask the next page with (None: there is no more)."""

    items: Sequence[T]
    next_before_id: int | None


def page_size(limit: int) -> int:
    """A limit that is neither nothing nor the whole database."""
    return max(1, min(limit, LARGEST_PAGE))
