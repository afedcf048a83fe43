"""Fixtures for tests that let real clients call a stand-in on loopback."""

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.integrations.vendor import Vendor

StartVendor = Callable[..., Vendor]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients take a proxy from the environment; loopback needs none."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def start_vendor() -> Iterator[StartVendor]:
    """Starts stand-ins, `start_vendor("slack.openapi.json", "/api")`; at the end none may have seen a wrong request."""
    started: list[Vendor] = []

    def start(description: str, prefix: str = "", tls: ssl.SSLContext | None = None) -> Vendor:
        vendor = Vendor(description, prefix, tls)
        started.append(vendor)
        return vendor

    yield start
    for vendor in started:
        vendor.close()
    assert not [problem for vendor in started for problem in vendor.problems]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 where connections are refused: taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
