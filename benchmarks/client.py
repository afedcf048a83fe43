"""A client that costs as little as Python can: it has to share two cores with what it measures.

One loop over blocking sockets, each read only once it has something. Requests are made and signed beforehand.
"""

import gc
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

_PATIENCE = 30.0


@dataclass
class Answers:
    """What came back. `sent_at` is on the monotonic clock, by request; `seconds` how long each took to be answered.

    At a given rate a request's time begins when it was to be sent, so that a queue in the client counts too.
    """

    took: float = 0.0
    seconds: list[float] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    statuses: Counter[bytes] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        """How many were answered 2xx: they are on disk."""
        return self.statuses[b"200"] + self.spooled

    @property
    def spooled(self) -> int:
        """How many of these went to the spool, because the database was locked."""
        return self.statuses[b"202"]

    @property
    def per_second(self) -> float:
        """Answers 2xx in a second."""
        return self.accepted / self.took


def send(
    port: int, requests: Sequence[bytes], *, at_once: int = 64, keep_alive: bool = False, rate: float | None = None
) -> Answers:
    """Sends every request once, up to `at_once` at a time, or `rate` of them a second; the answers.

    Raises TimeoutError if nothing is answered for 30 s.
    """
    sending = _Sending(port, requests, at_once, keep_alive, rate)
    gc.collect()
    gc.disable()
    try:
        return sending.run()
    finally:
        gc.enable()
        sending.close()


class _Sending:
    def __init__(
        self, port: int, requests: Sequence[bytes], at_once: int, keep_alive: bool, rate: float | None
    ) -> None:
        self._address = ("127.0.0.1", port)
        self._requests = requests
        self._at_once = at_once
        self._keep_alive = keep_alive
        self._rate = rate
        self._poll = select.epoll()
        # By handle: the socket, when its request was due, and what has come of the answer.
        self._open: dict[int, tuple[socket.socket, float, bytes]] = {}
        self._free: list[socket.socket] = []
        self._answers = Answers()

    def run(self) -> Answers:
        count, answers, begun = len(self._requests), self._answers, time.monotonic()
        done = 0
        while done < count:
            self._send_due(begun)
            ready = self._poll.poll(self._pause(begun))
            if not ready and len(answers.sent_at) - done >= self._at_once:
                raise TimeoutError(f"{count - done} of {count} requests were not answered")
            for handle, _ in ready:
                done += self._read(handle)
        answers.took = time.monotonic() - begun
        return answers

    def close(self) -> None:
        for sock in (*self._free, *(each[0] for each in self._open.values())):
            sock.close()
        self._poll.close()

    def _send_due(self, begun: float) -> None:
        while len(self._open) < self._at_once and len(self._answers.sent_at) < len(self._requests):
            now = time.monotonic()
            number = len(self._answers.sent_at)
            due = begun + number / self._rate if self._rate else now
            if due > now:
                return
            self._answers.sent_at.append(now)
            sock = self._free.pop() if self._free else self._connected()
            sock.sendall(self._requests[number])
            self._open[sock.fileno()] = (sock, due, b"")

    def _pause(self, begun: float) -> float:
        number = len(self._answers.sent_at)
        if self._rate and number < len(self._requests) and len(self._open) < self._at_once:
            return max(0.0, begun + number / self._rate - time.monotonic())
        return _PATIENCE

    def _connected(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(self._address)
        self._poll.register(sock, select.EPOLLIN)
        return sock

    def _read(self, handle: int) -> int:
        sock, due, before = self._open[handle]
        came = sock.recv(65_536)
        answer = before + came
        if came and not _is_whole(answer):
            self._open[handle] = (sock, due, answer)
            return 0
        self._answers.statuses[answer[9:12]] += 1
        self._answers.seconds.append(time.monotonic() - due)
        del self._open[handle]
        if self._keep_alive and came:
            self._free.append(sock)
        else:
            sock.close()  # which takes it out of the poll as well
        return 1


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    _, _, length = head.lower().partition(b"content-length: ")
    return len(body) >= int(length.partition(b"\r\n")[0])
