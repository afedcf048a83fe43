"""Cuts off clients that do not get on with their request, and idle ones when there are too many.

Granian (2.8) calls us as soon as a request's head is there. A body that does not come holds a thread, and neither
Granian nor WSGI has a time-out for that. What the kernel knows of each connection tells which ones wait.
"""

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
# Longer than any page takes to answer, with the calls that it makes.
PATIENCE_SECONDS = 90.0
# While many stall at once, and while there is hardly room for another connection.
SHORT_PATIENCE_SECONDS = 10.0
_ESTABLISHED = 1
# struct tcp_info of linux/tcp.h: tcpi_state, in milliseconds tcpi_last_data_sent and tcpi_last_data_recv, and
# tcpi_data_segs_out.
_TCP_INFO = struct.Struct("=B43xI4xI100xI")


@dataclass(frozen=True)
class _Seen:
    """A connection at one look: whether a request is not answered, and how often something has been sent.

    `since`: when both were first so, on the monotonic clock.
    """

    is_stalled: bool
    sent: int
    since: float


class StalledConnections:
    """Looks at the connections to a port that this process has accepted.

    stalled_at_most, open_at_most: how many may wait for the rest of a request, or be open at all, before patience
    becomes short.
    """

    def __init__(
        self, port: int, *, stalled_at_most: int, open_at_most: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._port = port
        self._stalled_at_most = stalled_at_most
        self._open_at_most = open_at_most
        self._monotonic = monotonic
        self._seen: dict[int, _Seen] = {}

    def keep_looking(self) -> None:
        """Looks from now on, in a thread of its own. Only Linux tells what there is to see."""
        if hasattr(socket, "TCP_INFO") and Path("/proc/self/fd").exists():
            threading.Thread(target=self._look_on, name="stalled", daemon=True).start()

    def look(self) -> int:
        """Cuts off who has kept us waiting for too long; how many."""
        now = self._monotonic()
        self._seen = {number: self._see(number, connection, now) for number, connection in _accepted(self._port)}
        cut = self._to_cut(now)
        if cut:
            for number, connection in _accepted(self._port):
                if number in cut:
                    _cut(connection)
        return len(cut)

    def _see(self, number: int, connection: socket.socket, now: float) -> _Seen:
        state, sent_ago, received_ago, sent = _TCP_INFO.unpack_from(
            connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        )
        # They have said something that we have not answered: a request, or a part of one.
        is_stalled = state == _ESTABLISHED and received_ago < sent_ago
        before = self._seen.get(number)
        is_as_before = before is not None and (before.is_stalled, before.sent) == (is_stalled, sent)
        return before if before and is_as_before else _Seen(is_stalled, sent, now)

    def _to_cut(self, now: float) -> set[int]:
        waiting = {number: now - seen.since for number, seen in self._seen.items() if seen.is_stalled}
        idle = {number: now - seen.since for number, seen in self._seen.items() if not seen.is_stalled}
        many = sum(seconds >= SHORT_PATIENCE_SECONDS for seconds in waiting.values()) > self._stalled_at_most
        patience = SHORT_PATIENCE_SECONDS if many else PATIENCE_SECONDS
        cut = {number for number, seconds in waiting.items() if seconds >= patience}
        if cut:
            logger.warning("%d connections did not get on with their request: cut off", len(cut))
        if len(self._seen) > self._open_at_most:
            long_idle = {number for number, seconds in idle.items() if seconds >= SHORT_PATIENCE_SECONDS}
            logger.warning("%d connections are open: %d idle ones are cut off", len(self._seen), len(long_idle))
            cut |= long_idle
        return cut

    def _look_on(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look()
            except Exception:
                # Such as no file left to open: the next look may do better, and no delivery depends on it.
                logger.exception("connections could not be looked at")


def _accepted(port: int) -> Iterator[tuple[int, socket.socket]]:
    """The connections to the port, each with a number that no other has. One is open at a time, until the next."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            # A handle of our own: the server may close its, and the number may go to another connection.
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue  # closed meanwhile
        with found:
            if _is_accepted(found, port):
                yield os.fstat(found.fileno()).st_ino, found


def _is_accepted(found: socket.socket, port: int) -> bool:
    try:
        return (
            found.family in (socket.AF_INET, socket.AF_INET6)
            and found.type == socket.SOCK_STREAM
            and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            and found.getsockname()[1] == port
        )
    except OSError:
        return False


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # gone by itself
