"""Clients that are slow, silent or greedy: deliveries that are well are answered at once beside them."""

import contextlib
import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from recipes.pocketsflow.sending import compact, deliver
from tests.conftest import SECRET
from tests.service.running import Service

HEAD = "POST {path} HTTP/1.1\r\nHost: wire.example\r\nContent-Length: {length}\r\n\r\n"
SLOW = 150
IDLE = 1_200


@pytest.fixture
def url(service: Service) -> str:
    """The address to which a running service takes deliveries."""
    service.cli("account", "create", "ada@example.com", "--password-stdin", stdin="a long password")
    service.cli("endpoint", "set-secret", stdin=SECRET)
    service.start()
    shown = re.search(r"/hooks/(\S+)", service.cli("endpoint", "show"))
    assert shown
    return f"{service.url}/hooks/{shown[1]}"


def _seconds_of_a_delivery(url: str, number: int) -> float:
    body = compact({"order": {"id": f"order_{number}"}, "amount": 5, "customer": {"email": "ada@example.com"}})
    began = time.monotonic()
    status, _ = deliver(url, "order.completed", SECRET, body, datetime.now(UTC))
    assert status == 200
    return time.monotonic() - began


def test_slow_clients_take_no_thread_that_a_delivery_needs(service: Service, url: str) -> None:
    """Bodies that come by the byte or break off, heads without end, silent connections, and what is far too large."""
    path = "/hooks/" + url.split("/hooks/")[1]
    with contextlib.ExitStack() as opened:

        def connect() -> socket.socket:
            return opened.enter_context(socket.create_connection(("127.0.0.1", service.port), 10))

        bodies = [connect() for _ in range(SLOW)]
        for each in bodies:
            each.sendall(HEAD.format(path=path, length=100).encode() + b"{")
        for _ in range(SLOW):
            connect().sendall(b"POST /hooks/x HTTP/1.1\r\nX-Slow: ")
        for _ in range(IDLE):
            connect()
        for number in range(5):
            for each in bodies:
                each.sendall(b" ")
            assert _seconds_of_a_delivery(url, number) < 2
        _large_bodies_are_refused_before_they_have_come(connect, path)
    # All those bodies have broken off now: nothing of them is stored.
    assert _seconds_of_a_delivery(url, 5) < 2
    assert len(service.json("events")) == 6


def _large_bodies_are_refused_before_they_have_come(connect: Callable[[], socket.socket], path: str) -> None:
    declared = connect()
    declared.sendall(HEAD.format(path=path, length=10_000_000).encode())
    assert declared.recv(100).startswith(b"HTTP/1.1 413 ")
    endless = connect()
    endless.sendall(
        HEAD.format(path=path, length=0).replace("Content-Length: 0", "Transfer-Encoding: chunked").encode()
    )
    with contextlib.suppress(OSError):  # refused while we are still sending
        for _ in range(100):
            endless.sendall(b"1000\r\n" + b"x" * 4_096 + b"\r\n")
    assert endless.recv(100).startswith(b"HTTP/1.1 413 ")
