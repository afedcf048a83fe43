"""Deliveries on disk while the database cannot take them: one file per batch, fsynced before the answer."""

import base64
import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified delivery as it came: nothing of it is interpreted yet."""

    endpoint_id: int
    merchant_id: int
    mode: str
    body: bytes
    event_header: str | None
    timestamp_header: str | None
    received_at: datetime
    origin: str = "webhook"


class Spool:
    """A folder of batches. Names sort in the order of arrival; a file that ends in `.part` was never finished."""

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._clock = clock
        self._counter = itertools.count()

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Puts a batch on disk. When this returns it survives a power cut. Raises OSError if it cannot."""
        name = f"{self._clock():020d}-{os.getpid():08d}-{next(self._counter):08d}"
        part = self._folder / (name + ".part")
        with part.open("wb") as file:
            file.writelines(_line(delivery) for delivery in deliveries)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / (name + _SUFFIX))
        self._sync_folder()

    def batches(self) -> Iterator[tuple[Path, list[Delivery]]]:
        """The batches on disk, oldest first, each with its file. One that cannot be read is set aside."""
        for path in sorted(self._folder.glob("*" + _SUFFIX)):
            try:
                with path.open("rb") as file:
                    deliveries = [_delivery(json.loads(line)) for line in file]
            except FileNotFoundError:
                continue  # another process brought it in meanwhile
            except (ValueError, KeyError, TypeError):
                logger.exception("the batch %s cannot be read: set aside", path.name)
                self.set_aside(path)
                continue
            yield path, deliveries

    def is_empty(self) -> bool:
        """Whether no batch waits."""
        return next(self._folder.glob("*" + _SUFFIX), None) is None

    def remove(self, path: Path) -> None:
        """Forgets a batch that the database has taken; another process may have done so."""
        path.unlink(missing_ok=True)
        self._sync_folder()

    def set_aside(self, path: Path) -> None:
        """Keeps a batch for a person to look at, out of the way of the others."""
        path.rename(path.with_suffix(".refused"))
        self._sync_folder()

    def _sync_folder(self) -> None:
        # A new or removed name is only on disk once its folder is.
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _line(delivery: Delivery) -> bytes:
    fields = {
        "endpoint_id": delivery.endpoint_id,
        "merchant_id": delivery.merchant_id,
        "mode": delivery.mode,
        "body": base64.b64encode(delivery.body).decode(),
        "event_header": delivery.event_header,
        "timestamp_header": delivery.timestamp_header,
        "received_at": delivery.received_at.isoformat(),
        "origin": delivery.origin,
    }
    return json.dumps(fields).encode() + b"\n"


def _delivery(fields: dict[str, Any]) -> Delivery:
    return Delivery(
        **fields
        | {
            "body": base64.b64decode(fields["body"]),
            "received_at": datetime.fromisoformat(fields["received_at"]),
        }
    )
