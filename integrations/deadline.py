"""One time-out for a whole call: to connect, to send, to wait, and to read the answer to its last byte.

The time-out of requests begins anew with every piece that comes or goes, so a service that sends a byte now and then
would hold a thread for ever. Here each operation on a socket is given only what is left of the call's time. Outside of
it are the look-up of a host's name, which the system does without a time-out, and a proxy that is itself reached by
TLS.
"""

import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, ClassVar, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util import create_urllib3_context


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, and for the whole call."""

    connect: float = 5.0
    total: float = 30.0


TIMEOUTS = Timeouts()


class _Call(threading.local):
    # The end of a thread's latest call. Before its first, it has no time at all.
    ends_at = 0.0


_call = _Call()


def _left(ends_at: float) -> float:
    seconds = ends_at - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the call's time is over")
    return seconds


# ── Sockets ──────────────────────────────────────────────────────────────────────────────────────────────


class _Socket(socket.socket):
    """A socket that is held to the end of the call its thread is making.

    It keeps no end of its own: on a connection that serves many calls, an earlier one's cannot reach a later one.
    """

    def recv(self, *args: Any, **options: Any) -> bytes:
        self.settimeout(_left(_call.ends_at))
        return super().recv(*args, **options)

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(_left(_call.ends_at))
        return super().recv_into(*args, **options)

    def send(self, *args: Any, **options: Any) -> int:
        self.settimeout(_left(_call.ends_at))
        return super().send(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self.settimeout(_left(_call.ends_at))
        super().sendall(*args, **options)


class _TLSSocket(_Socket, ssl.SSLSocket):
    """The same over TLS, where one operation may be many reads and writes: together they get the time-out."""


def first_that_connects(addresses: Iterable[Any], ends_at: float, options: Iterable[Any] = ()) -> socket.socket:
    """A socket to the first address that takes it.

    addresses: as socket.getaddrinfo() tells them. ends_at: a time.monotonic() for all of them together, and for the
    TLS that may follow. Raises TimeoutError, or the OSError of the last address.
    """
    failure = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        sock = _Socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(_left(ends_at))
            sock.connect(address)
            sock.settimeout(_left(ends_at))
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


# ── Connections ──────────────────────────────────────────────────────────────────────────────────────────


class PlainConnection(HTTPConnection):
    """Connects within the connecting time, however many addresses the host has."""

    def connect(self) -> None:
        """Also TLS, and a proxy's tunnel. Raises urllib3's ConnectTimeoutError and NewConnectionError."""
        try:
            super().connect()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "connecting took too long") from error

    def addresses(self) -> list[Any]:
        """Where the host is, as socket.getaddrinfo() tells it."""
        return socket.getaddrinfo(self._dns_host.strip("[]"), self.port, type=socket.SOCK_STREAM)

    def _new_conn(self) -> socket.socket:
        try:
            addresses = self.addresses()
            # Only from here on: a slow look-up is no fault of the service.
            ends_at = time.monotonic() + (math.inf if self.timeout is None else self.timeout)
            return first_that_connects(addresses, min(ends_at, _call.ends_at), self.socket_options or ())
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, "no connection") from error


class TLSConnection(PlainConnection, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        """As PlainConnection's."""
        self.ssl_context = create_urllib3_context()
        self.ssl_context.sslsocket_class = _TLSSocket
        super().connect()


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = TLSConnection


class DeadlineAdapter(HTTPAdapter):
    """What a session sends with: notes the end of the call, and hands it to connections that hold to it."""

    pools: ClassVar[dict[str, type[HTTPConnectionPool]]] = {"http": _PlainPool, "https": _TLSPool}

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        super().__init__(max_retries=0, pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """With our own connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self.pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """With our own connections."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self.pools
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """The answer, of which only the head is read yet. The time-outs are the adapter's, whatever is given."""
        _call.ends_at = time.monotonic() + self._timeouts.total
        options["timeout"] = (self._timeouts.connect, self._timeouts.total)
        return super().send(request, *args, **options)


S = TypeVar("S", bound=requests.Session)


def limited(session: S, timeouts: Timeouts, adapter: type[DeadlineAdapter] = DeadlineAdapter) -> S:
    """The session, each of whose calls is one attempt that ends within the time-outs, and that keeps no cookies.

    An answer has to be read by the thread that asked for it, before its next call. A call that takes too long raises
    requests' ConnectTimeout if it was not sent, else ReadTimeout or ConnectionError.
    """
    mounted = adapter(timeouts)
    for scheme in ("https://", "http://"):
        session.mount(scheme, mounted)
    # Nothing a service leaves with one call goes out with the next.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session
