"""A loopback server that answers the few calls the pages make, as Slack does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHANNELS = [{"id": "C1", "name": "reviews"}, {"id": "C2", "name": "sales"}]


class StandIn(ThreadingHTTPServer):
    """`refuses` makes every answer a refusal; `calls` counts what was asked."""

    refuses = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[str] = []

    @property
    def base(self) -> str:
        """The address to set as the API's base."""
        return f"http://127.0.0.1:{self.server_port}/api/"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        method = self.path.split("?")[0].rpartition("/")[2]
        self.server.calls.append(method)
        answer: dict[str, object] = {"ok": True, "team": "Acme", "user": "wire", "channels": CHANNELS}
        if self.server.refuses:
            answer = {"ok": False, "error": self.server.refuses}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name the base class looks for

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A running stand-in."""
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
