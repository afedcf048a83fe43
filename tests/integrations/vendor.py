"""A stand-in for a vendor on loopback: checks every request against the vendor's own description, and answers from it.

The descriptions lie beside the repository, in `../shared/specs`. Where they are absent requests are recorded
but not checked, and answers are those that the test plans, else an empty JSON object.
"""

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.validation.request.exceptions import SecurityValidationError
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.integrations.samples import followed, sample_of

DESCRIPTIONS = Path(__file__).resolve().parents[3] / "shared" / "specs"
LONGEST_SILENCE = 30.0
TRICKLE_SECONDS, TRICKLES = 0.02, 150  # three seconds, so that a test without a time-out fails and does not hang

Answer = Response | Callable[[Request], Response]


def answer(body: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer: a dict or list goes out as JSON, a text as HTML, None as no body without a content type."""
    if body is None:
        response = Response(b"", status)
        del response.headers["Content-Type"]
    elif isinstance(body, str):
        response = Response(body, status, content_type="text/html")
    else:
        response = Response(json.dumps(body), status, content_type="application/json")
    response.headers.update(headers or {})
    return response


class Vendor:
    """One vendor's API on a free port of 127.0.0.1.

    description: a file's name among DESCRIPTIONS. prefix: what the vendor puts before the described paths.
    tls: the server's side of TLS, if it is to be spoken.
    url: the API's address, prefix and all, for the client. calls: every request that arrived, in order.
    problems: in words, what the vendor's description refuses. script: answers given next, each once, to valid
    requests. answers: standing answers by route, such as "PUT /lists/{list_id}". beside: the same for
    addresses that the description leaves out.
    """

    def __init__(self, description: str, prefix: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Request] = []
        self.problems: list[str] = []
        self.script: list[Answer] = []
        self.answers: dict[str, Answer] = {}
        self.beside: dict[str, Answer] = {}
        self._prefix = prefix
        self._released = threading.Event()
        self._server = make_server(
            "127.0.0.1", 0, Request.application(self._respond), threaded=True, request_handler=_Quiet, ssl_context=tls
        )
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}{prefix}"
        self._document = _description(description, self.url)
        self._api = OpenAPI.from_dict(self._document, config=_UNCHECKED) if self._document else None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the server and whatever still hangs in it."""
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def seen(self, route: str) -> list[Request]:
        """The requests that went to a route, such as "PUT /lists/{list_id}"."""
        return [call for call in self.calls if self._matches(route, call)]

    def hang(self, request: Request) -> Response:
        """An answer that does not come before the client has given up."""
        self._released.wait(LONGEST_SILENCE)
        return Response(status=500)

    def trickle_head(self, request: Request) -> Response:
        """An answer whose head comes byte by byte and does not end."""
        connection: socket.socket = request.environ["werkzeug.socket"]
        with contextlib.suppress(OSError):  # the client has given up
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for piece in self._trickle(b"a"):
                connection.sendall(piece)
        return self.drop(request)

    def trickle_body(self, request: Request) -> Response:
        """An answer whose body comes byte by byte."""
        return Response(self._trickle(b" "), 200, content_type="application/json")

    def _trickle(self, piece: bytes) -> Iterator[bytes]:
        for _ in range(TRICKLES):
            if self.pause(TRICKLE_SECONDS):
                return
            yield piece

    def pause(self, seconds: float) -> bool:
        """Waits, or ends at once when the stand-in is closed. True if it is closed."""
        return self._released.wait(seconds)

    def drop(self, request: Request) -> Response:
        """The request was read; then the connection breaks."""
        connection: socket.socket = request.environ["werkzeug.socket"]
        with contextlib.suppress(OSError):  # the client was faster
            connection.shutdown(socket.SHUT_RDWR)
        return Response(status=500)

    def _respond(self, request: Request) -> Response:
        request.get_data()
        self.calls.append(request)
        beside = self._planned(self.beside, request)
        if beside is None and (refusal := self._refusal(request)):
            return refusal
        planned = beside or (self.script.pop(0) if self.script else self._planned(self.answers, request))
        if planned is None:
            return self._described(request)
        return planned if isinstance(planned, Response) else planned(request)

    def _planned(self, answers: Mapping[str, Answer], request: Request) -> Answer | None:
        # Of two routes that match, the one with fewer placeholders is meant.
        routes = sorted((route for route in answers if self._matches(route, request)), key=_placeholders)
        return answers[routes[0]] if routes else None

    def _matches(self, route: str, request: Request) -> bool:
        method, path = route.split(" ", 1)
        pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(self._prefix + path))
        return request.method == method and re.fullmatch(pattern, request.path) is not None

    def _refusal(self, request: Request) -> Response | None:
        if self._api is None:
            return None
        try:
            self._api.validate_request(WerkzeugOpenAPIRequest(request))
        except OpenAPIError as error:
            problem = f"{request.method} {request.path}: {error.__cause__ or error}"
            self.problems.append(problem)
            status = 404 if isinstance(error, PathError) else 401 if isinstance(error, SecurityValidationError) else 422
            return answer({"problem": problem}, status)
        return None

    def _described(self, request: Request) -> Response:
        if self._document is None:
            return answer({})
        routes = sorted(self._document["paths"], key=_placeholders)
        method = request.method.lower()
        operation = next(
            self._document["paths"][path][method]
            for path in routes
            if method in self._document["paths"][path] and self._matches(f"{request.method} {path}", request)
        )
        status, described = min((code, each) for code, each in operation["responses"].items() if code[0] in "2d")
        number = 200 if status == "default" else int(status)
        for kind, media in followed(self._document, described).get("content", {}).items():
            return Response(json.dumps(_example(self._document, media)), number, content_type=kind)
        return answer(status=number)


def _placeholders(route: str) -> int:
    return route.count("{")


class _Quiet(WSGIRequestHandler):
    def send_response(self, code: int, message: str | None = None) -> None:
        """Without a Date: it is for a test to say what the vendor's clock shows."""
        self.send_response_only(code, message)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's word
        pass


_UNCHECKED = Config(spec_validator_cls=None)  # the files are known to be sound; checking each costs a second


def _description(name: str, url: str) -> dict[str, Any] | None:
    document = _read(name)
    return None if document is None else {**document, "servers": [{"url": url}]}


@cache
def _read(name: str) -> dict[str, Any] | None:
    file = DESCRIPTIONS / name
    if not file.exists():
        return None
    document: dict[str, Any] = json.loads(file.read_text())
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        if scheme["type"] == "oauth2":  # passed unchecked by openapi-core, so read as the bearer token it is
            scheme.clear()
            scheme.update(type="http", scheme="bearer")
    return document


def _example(document: dict[str, Any], media: dict[str, Any]) -> Any:
    if "example" in media:
        return media["example"]
    for named in media.get("examples", {}).values():
        return followed(document, named).get("value")
    return sample_of(document, media.get("schema", {}))
