"""Slack, Discord and Mailchimp on loopback, as far as the chaos calls them: slow, moody, and with a good memory."""

import json
import random
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

LONGEST_ANSWER = 0.015
PAGE = 200


class Fate(StrEnum):
    """What becomes of a call. Of all but REFUSED the caller must not be sure that nothing happened."""

    DONE = "done"
    ANSWER_LOST = "answer lost"
    FAILED = "failed"
    REFUSED = "refused"


MOODY: Mapping[Fate, int] = {Fate.DONE: 86, Fate.ANSWER_LOST: 4, Fate.FAILED: 3, Fate.REFUSED: 7}


@dataclass(frozen=True)
class Call:
    """A call that arrived. `order` is the order it is about."""

    app: str
    order: str
    fate: Fate


class StandIn:
    """The services at `url`/slack and so on. odds: how likely each fate is.

    `calls`: what arrived, in that order. `looks`: how often Slack was asked whether a message is there.
    """

    def __init__(self, seed: int, odds: Mapping[Fate, int] = MOODY) -> None:
        self._odds = odds
        self.calls: list[Call] = []
        self.looks = 0
        self._random = random.Random(seed)  # noqa: S311 - chaos, not secrets
        self._messages: list[dict[str, Any]] = []
        self._open = 0
        self._lock = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def read_all(self) -> None:
        """Returns once all that dead processes had sent is read: it is on its way in, and must not be late."""
        # The system hands out connections in their order: once this one is answered, all before it are known.
        connection = HTTPConnection("127.0.0.1", self._server.server_port, timeout=10)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        with self._lock:
            self._lock.wait_for(lambda: self._open == 0, timeout=10)

    def opened(self, by: int) -> None:
        """Counts open connections."""
        with self._lock:
            self._open += by
            self._lock.notify_all()

    def take(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        """Status and body of an answer; None where it gets lost."""
        if method == "GET":
            return 200, {}
        app = path.split("/")[1]
        with self._lock:
            fate = self._random.choices(list(self._odds), list(self._odds.values()))[0]
            pause = self._random.uniform(0, LONGEST_ANSWER)
            if path.endswith("conversations.history"):
                self.looks += 1
                found = {"ok": True, "messages": self._messages[: -PAGE - 1 : -1]}
                answer: tuple[int, Any] = (
                    (429, {"ok": False, "error": "ratelimited"})
                    if fate == Fate.REFUSED
                    else (
                        200,
                        found,
                    )
                )
                return answer
            self.calls.append(Call(app, _order_of(app, body), fate))
            if app == "slack" and fate in (Fate.DONE, Fate.ANSWER_LOST):
                self._messages.append({"text": body["text"], "metadata": body["metadata"], "ts": str(time.time())})
        time.sleep(pause)
        if fate == Fate.ANSWER_LOST:
            return None
        return _answer(app, fate)


def _order_of(app: str, body: dict[str, Any]) -> str:
    if app == "mailchimp":
        return str(body["merge_fields"]["FNAME"])
    return str(body["content" if app == "discord" else "text"])


def _answer(app: str, fate: Fate) -> tuple[int, Any]:
    if fate == Fate.REFUSED:
        return 429, {"ok": False, "error": "ratelimited", "title": "Too Many Requests", "retry_after": 1}
    if fate == Fate.FAILED:
        return 500, {"ok": False, "error": "internal_error", "title": "Internal error"}
    return 200, {"ok": True, "channel": "C1", "ts": "1.2", "id": "1", "status": "subscribed"}


class _Server(ThreadingHTTPServer):
    stand_in: StandIn
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed in the middle of a call is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Head and body go out in two writes: without it each answer waits for the other side's delayed acknowledgement.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.server.stand_in.opened(1)
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.stand_in.opened(-1)

    def _take(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = "json" in (self.headers.get("Content-Type") or "")
        body = (
            json.loads(sent or b"{}") if is_json else {name: each[0] for name, each in parse_qs(sent.decode()).items()}
        )
        answer = self.server.stand_in.take(self.command, self.path, body)
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, said = answer
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _take  # noqa: N815 - the names that the server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the calls are the record."""
