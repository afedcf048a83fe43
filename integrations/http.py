"""Calls to services that have no well-kept client of their own: one attempt, a time-out, an address guard."""

import ipaddress
import json
import logging
from collections.abc import Mapping
from typing import Any

import requests
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError

from integrations.deadline import TIMEOUTS, DeadlineAdapter, PlainConnection, Timeouts, TLSConnection, limited
from integrations.failures import (
    AddressRefused,
    HttpError,
    UnreadableAnswer,
    excerpt,
    http_error,
    network_error,
    parsed,
    redact,
    retry_after,
    status_error,
)

__all__ = [
    "TIMEOUTS",
    "AddressRefused",
    "HttpError",
    "Service",
    "Timeouts",
    "UnreadableAnswer",
    "excerpt",
    "http_error",
    "is_public",
    "network_error",
    "parsed",
    "redact",
    "retry_after",
    "status_error",
]

LARGEST_ANSWER = 4 * 1024 * 1024

# At DEBUG it writes the address of every call, and addresses hold buyers' e-mail addresses and tokens.
logging.getLogger("urllib3").setLevel(logging.WARNING)


class Service:
    """A small JSON client over one pooled session; make one per connection and share it between threads.

    base: the API's address without a trailing slash. guarded: refuse private addresses, for hosts that a
    merchant types in. Redirects are never followed: they could carry the credentials elsewhere.
    """

    def __init__(
        self, base: str, headers: Mapping[str, str], *, guarded: bool = False, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        self._base = base.rstrip("/")
        self._session = limited(requests.Session(), timeouts, _GuardedAdapter if guarded else DeadlineAdapter)
        # A proxy from the environment would be the peer that the guard sees.
        self._session.trust_env = not guarded
        self._session.headers.update(headers)

    def __repr__(self) -> str:
        return f"Service({self._base!r})"

    def call(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        form_body: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of a 2xx answer, None where it has no body. Raises HttpError, UnreadableAnswer, requests' own."""
        with self._session.request(
            method,
            self._base + path,
            json=json_body,
            data=form_body,
            params=params,
            allow_redirects=False,
            stream=True,
        ) as answer:
            return _json_of(answer)


def _json_of(answer: requests.Response) -> Any:
    accepted = 200 <= answer.status_code < 300
    try:
        body = _read(answer)
    except (requests.exceptions.RequestException, UnreadableAnswer):
        if accepted:
            raise
        body = b""  # a refusal stays a refusal, whatever became of its text
    if not accepted:
        raise HttpError(answer.status_code, parsed(body), answer.headers)
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise UnreadableAnswer(f"HTTP {answer.status_code}") from error


def _read(answer: requests.Response) -> bytes:
    chunks = bytearray()
    # read1 gives what is there, decoded; a read of a size waits until there is so much.
    while chunk := _some(answer):
        chunks += chunk
        if len(chunks) > LARGEST_ANSWER:
            raise UnreadableAnswer("the answer is too large")
    return bytes(chunks)


def _some(answer: requests.Response) -> bytes:
    try:
        found: bytes = answer.raw.read1(16 * 1024, decode_content=True)
    except ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout("no answer in time") from error
    except DecodeError as error:
        raise UnreadableAnswer("the answer is packed in a way that cannot be read") from error
    except (ProtocolError, OSError) as error:
        raise requests.exceptions.ConnectionError("the connection broke") from error
    return found


# ── Address guard ────────────────────────────────────────────────────────────────────────────────────────


# IPv4 addresses at the end of IPv6 ones: compatible (RFC 4291) and by NAT64 (RFC 6052).
_IPV4_INSIDE = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))


def is_public(address: str) -> bool:
    """Whether an IP address is on the open internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner:
            return is_public(str(inner))
        if any(ip in network for network in _IPV4_INSIDE):
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


class _GuardedPlainConnection(PlainConnection):
    def addresses(self) -> list[Any]:
        """Those on the open internet: of any other not even its open ports can be told from its closed ones.

        It connects to one of these very addresses, whatever the name resolves to a moment later.
        """
        public = [each for each in super().addresses() if is_public(each[4][0])]
        if not public:
            raise AddressRefused("the address is not on the open internet")
        return public


class _GuardedTLSConnection(_GuardedPlainConnection, TLSConnection):
    pass


class _GuardedPlainPool(HTTPConnectionPool):
    ConnectionCls = _GuardedPlainConnection


class _GuardedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


class _GuardedAdapter(DeadlineAdapter):
    pools = {"http": _GuardedPlainPool, "https": _GuardedTLSPool}  # noqa: RUF012 - typed where it is declared
