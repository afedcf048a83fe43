"""A call ends within its time, however the service goes about it, and its end reaches no later call.

Every vendor's real client is called through its integration; what it would do without the time-out is to wait for as
long as a byte comes now and then, with one of the engine's threads.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from integrations import integration
from integrations.deadline import Timeouts, first_that_connects
from integrations.errors import Temporary, Unsure
from integrations.http import Service, network_error
from integrations.kit import fields, validate
from tests.integrations.calls import perform
from tests.integrations.cases import CASES, ActionCase, Case
from tests.integrations.certificate import loopback_certificate
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Vendor, answer

SHORT = Timeouts(connect=0.2, total=0.4)
TLS_TOO = Timeouts(connect=0.6, total=0.6)
AT_MOST = 2.0  # less than the trickling goes on
TRICKLING = ["trickle_head", "trickle_body"]


def _ended(call: Callable[[], Any]) -> Exception:
    """What a call raised, if it did so in time."""
    started = time.monotonic()
    with pytest.raises(Exception) as caught:
        call()
    assert time.monotonic() - started < AT_MOST
    return caught.value


def _first_action(case: Case) -> tuple[str, ActionCase]:
    return next(iter(case.actions.items()))


def _client(app: str, base: str) -> Any:
    service = integration(app)
    return service.connect(validate(service.credentials, CASES[app].credentials), base, SHORT)


def _vendor(start_vendor: StartVendor, case: Case, action_case: ActionCase) -> Vendor:
    vendor = start_vendor(case.description, case.prefix)
    vendor.answers = {route: answer(body) for route, body in {**case.answers, **action_case.answers}.items()}
    vendor.beside = {route: answer(body) for route, body in case.beside.items()}
    return vendor


# ── Every client ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trickling", TRICKLING)
@pytest.mark.parametrize("app", CASES)
def test_an_action_ends_when_the_answer_trickles(app: str, trickling: str, start_vendor: StartVendor) -> None:
    """It was sent, so it may have happened."""
    action, action_case = _first_action(CASES[app])
    vendor = _vendor(start_vendor, CASES[app], action_case)
    vendor.answers[action_case.writes] = getattr(vendor, trickling)
    error = _ended(lambda: perform(integration(app), _client(app, vendor.url), action, action_case.form))
    assert type(error) is Unsure
    assert len(vendor.seen(action_case.writes)) == 1


@pytest.mark.parametrize("app", CASES)
def test_checks_and_choices_end_too(app: str, start_vendor: StartVendor) -> None:
    """Somebody sits before the page, and its thread is one of few."""
    vendor = start_vendor("no description", CASES[app].prefix)
    vendor.beside = {route: answer(body) for route, body in CASES[app].beside.items()}
    client, service = _client(app, vendor.url), integration(app)
    forms = {each.form for each in service.actions}
    loaders = {spec.load for form in forms for spec in fields(form) if spec.load and not spec.after}
    assert loaders
    calls: list[Callable[[], Any]] = [partial(service.check, client), *(partial(load, client, {}) for load in loaders)]
    for call in calls:
        vendor.script = [vendor.trickle_head]
        assert type(service.error(_ended(call))) is Unsure


def test_the_fetching_of_a_token_ends_too(start_vendor: StartVendor) -> None:
    """It has a call of its own, before which nothing was sent to the spreadsheet."""
    action, action_case = _first_action(CASES["google_sheets"])
    vendor = _vendor(start_vendor, CASES["google_sheets"], action_case)
    vendor.beside["POST /token"] = vendor.trickle_head
    client = _client("google_sheets", vendor.url)
    error = _ended(lambda: perform(integration("google_sheets"), client, action, action_case.form))
    assert type(error) is Temporary


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port of 127.0.0.1 that takes connections, and then neither reads nor says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port of 127.0.0.1 whose queue is full: connecting to it takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as first, socket.socket() as rest:
        for each in (first, rest):
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.mark.parametrize("app", CASES)
def test_what_could_not_connect_was_not_sent(app: str, full_port: int) -> None:
    """So it is tried again, also if it must not happen twice."""
    action, action_case = _first_action(CASES[app])
    client = _client(app, f"http://127.0.0.1:{full_port}{CASES[app].prefix}")
    error = _ended(lambda: perform(integration(app), client, action, action_case.form))
    assert type(error) is Temporary


@pytest.mark.parametrize("app", CASES)
def test_nor_what_did_not_get_through_tls(app: str, deaf_port: int) -> None:
    """The handshake comes before everything else."""
    action, action_case = _first_action(CASES[app])
    client = _client(app, f"https://127.0.0.1:{deaf_port}{CASES[app].prefix}")
    error = _ended(lambda: perform(integration(app), client, action, action_case.form))
    assert type(error) is Temporary


# ── The connections beneath ──────────────────────────────────────────────────────────────────────────────


def test_many_addresses_share_the_time_to_connect(full_port: int) -> None:
    """A merchant's own forum may have as many as it likes."""
    addresses = socket.getaddrinfo("127.0.0.1", full_port, type=socket.SOCK_STREAM) * 50
    error = _ended(lambda: first_that_connects(addresses, time.monotonic() + SHORT.connect))
    assert isinstance(error, TimeoutError)


def test_sending_counts_as_well(deaf_port: int) -> None:
    """A service that does not take what is sent to it. A part of it has gone out."""
    service = Service(f"http://127.0.0.1:{deaf_port}", {}, timeouts=SHORT)
    error = _ended(lambda: service.call("POST", "/things", json_body="a" * 20_000_000))
    assert type(network_error("Acme", error)) is Unsure


def test_a_proxy_that_trickles_is_left_too(start_vendor: StartVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it has opened the way nothing was sent."""
    proxy = start_vendor("no description")
    proxy.script = [proxy.trickle_head]
    monkeypatch.setenv("https_proxy", proxy.url)
    error = _ended(lambda: Service("https://acme.example", {}, timeouts=SHORT).call("POST", "/things"))
    assert type(network_error("Acme", error)) is Temporary


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    """The server's side of TLS, which clients trust; None where it is not spoken."""
    if request.param == "http":
        return None
    trusted, context = loopback_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    return context


@pytest.mark.parametrize("trickling", TRICKLING)
def test_with_and_without_tls(start_vendor: StartVendor, tls: ssl.SSLContext | None, trickling: str) -> None:
    """TLS reads and writes in its own way."""
    vendor = start_vendor("no description", tls=tls)
    vendor.script = [getattr(vendor, trickling)]
    error = _ended(lambda: Service(vendor.url, {}, timeouts=TLS_TOO).call("POST", "/things"))
    assert isinstance(error, requests.exceptions.ReadTimeout)


@pytest.mark.parametrize("wrong", ["issuer", "host"])
def test_a_wrong_certificate_is_refused(
    start_vendor: StartVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """The side of TLS that is ours checks as strictly as ever; nothing was sent."""
    trusted, tls = loopback_certificate(tmp_path)
    vendor = start_vendor("no description", tls=tls)
    if wrong == "host":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    base = vendor.url.replace("127.0.0.1", "localhost") if wrong == "host" else vendor.url
    error = _ended(lambda: Service(base, {}).call("POST", "/things"))
    assert isinstance(error, requests.exceptions.SSLError)
    assert type(network_error("Acme", error)) is Temporary
    assert vendor.calls == []


class _KeepsConnections(BaseHTTPRequestHandler):
    """Tells each client from where it called."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def keeping(tls: ssl.SSLContext | None) -> Iterator[str]:
    """The address of a server that keeps connections for further calls, as the stand-in does not."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _KeepsConnections) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_end_of_a_call_does_not_reach_a_later_one(keeping: str) -> None:
    """The second call goes out on the first one's connection, after the first one's end."""
    service = Service(keeping, {}, timeouts=TLS_TOO)
    first = service.call("GET", "/things")
    threading.Event().wait(TLS_TOO.total)
    assert service.call("GET", "/things") == first
