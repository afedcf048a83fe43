"""Deliveries on disk while the database cannot take them: one file per batch, fsynced before the answer."""

import base64
import contextlib
import errno
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
SET_ASIDE = ".refused"
_DIGITS = 20
# No fault of a file's: it can be read another time.
_FOR_NOW = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


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
    """A folder of batches, with one writer. Names sort in the order of arrival, whatever the clock does.

    A file that ends in `.part` was never finished, and nobody was told that it was; one that ends in `.refused` could
    not be brought in and waits for a person.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._clock = clock
        self._last: int | None = None
        self._damaged: set[Path] = set()

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Puts a batch on disk. When this returns it survives a power cut. Raises OSError if it cannot."""
        name = f"{self._next():0{_DIGITS}d}-{os.getpid():08d}"
        part = self._folder / (name + ".part")
        try:
            with part.open("xb") as file:
                file.writelines(_line(delivery) for delivery in deliveries)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._folder / (name + _SUFFIX))
        except OSError:
            # On a full disk every byte counts.
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _next(self) -> int:
        # The clock may be set back, also between two processes: what waits here is older than what comes now.
        if self._last is None:
            names = (path.name[:_DIGITS] for path in self._folder.glob("*" + _SUFFIX))
            self._last = max((int(name) for name in names if name.isascii() and name.isdigit()), default=0)
        self._last = max(self._clock(), self._last + 1)
        return self._last

    def batches(self) -> Iterator[tuple[Path, list[Delivery]]]:
        """The batches on disk, oldest first, each with its file. What cannot be read is set aside.

        Of a file that is damaged in part, the rest is given all the same. Raises OSError if nothing can be read now.
        """
        for path in sorted(self._folder.glob("*" + _SUFFIX)):
            try:
                deliveries, is_damaged = _load(path)
            except FileNotFoundError:
                continue  # another process brought it in meanwhile
            except OSError as error:
                if error.errno in _FOR_NOW:
                    raise
                logger.error("the spooled batch %s cannot be read (%s)", path.name, error.strerror)
                deliveries, is_damaged = [], True
            if is_damaged:
                self._damaged.add(path)
            if deliveries:
                yield path, deliveries
            else:
                self.remove(path)

    def is_empty(self) -> bool:
        """Whether no batch waits."""
        return next(self._folder.glob("*" + _SUFFIX), None) is None

    def remove(self, path: Path) -> None:
        """Forgets a batch that the database has taken; another process may have done so. A damaged one is set aside."""
        if path in self._damaged:
            self.set_aside(path)
            return
        path.unlink(missing_ok=True)
        self._sync_folder()

    def set_aside(self, path: Path) -> None:
        """Keeps a batch for a person to look at, out of the way of the others."""
        kept = path.with_suffix(SET_ASIDE)
        with contextlib.suppress(FileNotFoundError):  # another process has done so
            path.rename(kept)
            logger.error("a spooled batch could not be brought in, in part or as a whole: it is kept as %s", kept)
        self._damaged.discard(path)
        self._sync_folder()

    def set_aside_count(self) -> int:
        """How many files wait for a person."""
        return sum(1 for _ in self._folder.glob("*" + SET_ASIDE))

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


def _load(path: Path) -> tuple[list[Delivery], bool]:
    """What can be read of a file, and whether there is more to it. Raises OSError."""
    if not path.is_file() and path.exists():
        return [], True  # not opened: a pipe would keep us waiting
    with path.open("rb") as file:
        read = [_read(line, path.name) for line in file]
    deliveries = [delivery for delivery in read if delivery]
    return deliveries, len(deliveries) < len(read)


def _read(line: bytes, name: str) -> Delivery | None:
    try:
        return _delivery(json.loads(line))
    except (ValueError, KeyError, TypeError):
        logger.exception("a delivery in the spooled batch %s cannot be read", name)
        return None


def _delivery(fields: dict[str, Any]) -> Delivery:
    received_at = datetime.fromisoformat(fields["received_at"])
    if received_at.tzinfo is None:
        raise ValueError("a time without a time zone")
    return Delivery(**fields | {"body": base64.b64decode(fields["body"], validate=True), "received_at": received_at})
