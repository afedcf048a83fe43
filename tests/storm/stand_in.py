"""Mailchimp and Slack on one loopback port, for many calls: some of their connections have a bad day."""

import base64
import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RETRY_AFTER = 1


@dataclass(frozen=True)
class Call:
    """A call that arrived: when, on the monotonic clock, for which connection, and where to."""

    at: float
    connection: str
    path: str


class StandIn:
    """Answers well to `well`. To any other connection: busy, then broken, then not at all, until it is healed.

    busy, broken: how many calls of a connection are answered so. A call that hangs is dropped once `let_go` is called.
    """

    def __init__(self, well: str, busy: int, broken: int) -> None:
        self.calls: list[Call] = []
        self.most_hanging: Counter[str] = Counter()
        self._well, self._busy, self._broken = well, busy, broken
        self._count: Counter[str] = Counter()
        self._hanging: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._is_healed = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                stand_in._answer(self)

            do_PUT = do_GET = do_POST  # noqa: N815 - the base's words

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *args: Any) -> None:
                pass  # the client has gone

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Drops the calls that hang, without an answer."""
        self._released.set()

    def heal(self) -> None:
        """Answers well to all from now on, and lets go."""
        self._is_healed = True
        self.let_go()

    def close(self) -> None:
        """Ends the server."""
        self.heal()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answered(self, connection: str) -> list[Call]:
        """The calls of a connection that was well."""
        return [call for call in self.calls if call.connection == connection]

    def hanging(self) -> Counter[str]:
        """How many calls hang now, by connection."""
        with self._lock:
            return +self._hanging

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        connection = _connection(handler.headers.get("Authorization", ""))
        with self._lock:
            self.calls.append(Call(time.monotonic(), connection, handler.path))
            self._count[connection] += 1
            number = self._count[connection]
        if connection == self._well or self._is_healed:
            _say(handler, 200, {"id": "1", "status": "subscribed", "ok": True, "channel": "C1", "ts": "1.2"})
        elif number <= self._busy:
            _say(handler, 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(RETRY_AFTER)})
        elif number <= self._busy + self._broken:
            _say(handler, 500, {"title": "Internal Server Error"})
        else:
            self._hang(connection, handler.connection)
            handler.close_connection = True

    def _hang(self, connection: str, line: socket.socket) -> None:
        with self._lock:
            self._hanging[connection] += 1
            self.most_hanging[connection] = max(self.most_hanging[connection], self._hanging[connection])
        line.settimeout(0)
        while not self._released.wait(0.2) and not _is_given_up(line):
            pass
        with self._lock:
            self._hanging[connection] -= 1


def _is_given_up(line: socket.socket) -> bool:
    try:
        return not line.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _connection(authorization: str) -> str:
    kind, _, given = authorization.partition(" ")
    return base64.b64decode(given).decode().partition(":")[2] if kind == "Basic" else given


def _say(handler: BaseHTTPRequestHandler, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    data = json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **(headers or {}),
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)
