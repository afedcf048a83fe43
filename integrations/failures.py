"""What an answer or a broken connection means, for every integration: the common rules, and redaction."""

import email.utils
import http.client
import json
import re
import socket
import ssl
import urllib.error
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError
from urllib3.exceptions import HTTPError as TransportError

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure

DETAIL_LENGTH = 600
REASON_LENGTH = 300


class AddressRefused(requests.exceptions.ConnectionError):
    """The host's address is not one that a merchant's own setting may reach (loopback, private, link-local)."""


class HttpError(Exception):
    """An answer that is not 2xx. `body` is its JSON, or its text when it is not JSON."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.headers = headers


class UnreadableAnswer(Exception):
    """A 2xx whose body is not the JSON it should be: the call may well have happened."""


def parsed(body: bytes) -> Any:
    """An answer's JSON, or its text if it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


# ── Statuses ─────────────────────────────────────────────────────────────────────────────────────────────


def status_error(
    service: str, status: int, *, reason: str = "", detail: str = "", after: timedelta | None = None
) -> ActionError:
    """The common reading of a status. `reason` is the service's own sentence, if it gave one; it is redacted here."""
    said = f" {service} says: {redact(' '.join(reason.split()))[:REASON_LENGTH].rstrip('. ')}." if reason else ""
    if status == 401:
        return Unauthorized(f"{service} does not accept our credentials.", status=status, detail=detail)
    if status == 403:
        return Permanent(f"{service} does not allow this.{said}", status=status, detail=detail)
    if status in (404, 410):
        return Permanent(f"{service} cannot find what the recipe names.{said}", status=status, detail=detail)
    if status in (408, 425):
        return Temporary(f"{service} did not take the call in time.", after=after, status=status, detail=detail)
    if status == 429:
        return Temporary(f"{service} asked us to slow down.", after=after, status=status, detail=detail)
    if status >= 500:
        return Unsure(f"{service} has a problem of its own (HTTP {status}).", status=status, detail=detail)
    if 200 <= status < 300:
        return Unsure(f"{service} gave an answer that could not be read.", status=status, detail=detail)
    if status < 400:
        sentence = f"{service} sent us to another address (HTTP {status}), and we do not follow."
        return Permanent(sentence, status=status, detail=detail)
    return Permanent(f"{service} refused this.{said}", status=status, detail=detail)


def http_error(service: str, error: HttpError, *, reason: str = "", now: datetime | None = None) -> ActionError:
    """status_error() for an HttpError, Retry-After read from its headers."""
    after = retry_after(error.headers, now or datetime.now(UTC))
    return status_error(service, error.status, reason=reason, detail=excerpt(error.body), after=after)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long a Retry-After header asks to wait: seconds (also fractions) or an HTTP date. None if unreadable."""
    value = _header(headers, "retry-after")
    if re.fullmatch(r"\d{1,7}(\.\d+)?", value):
        return timedelta(seconds=float(value))
    try:
        return max(email.utils.parsedate_to_datetime(value) - now, timedelta(0)) if value else None
    except (ValueError, TypeError):
        return None


def answered_at(headers: Mapping[str, str]) -> datetime | None:
    """When a service answered, by its own clock: the Date header, aware and to the second. None if unreadable."""
    try:
        found = email.utils.parsedate_to_datetime(_header(headers, "date"))
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else None


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((str(value).strip() for name, value in headers.items() if name.lower() == wanted), "")


# ── Broken connections ───────────────────────────────────────────────────────────────────────────────────

# A certificate is checked before anything is sent. Other TLS errors can also come after sending.
_NOT_SENT = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
    ConnectTimeoutError,
    NewConnectionError,
    ConnectionRefusedError,
    socket.gaierror,
    ssl.SSLCertVerificationError,
    urllib.error.URLError,  # wraps only what goes wrong before the request is out whole
)
_TOO_LATE = (requests.exceptions.ReadTimeout, ReadTimeoutError, TimeoutError)
_NETWORK = (
    OSError,  # requests' own exceptions and urllib's URLError are among them
    http.client.HTTPException,
    TransportError,
)


def network_error(service: str, error: Exception) -> ActionError:
    """What an exception of requests, urllib or a socket means; anything else is Unsure.

    Only class names are kept: the exceptions' own texts hold addresses, tokens and buyers' data.
    """
    name = type(error).__name__
    if isinstance(error, HttpError):
        return http_error(service, error)
    wrapped = tuple(_unwrapped(error))
    if any(isinstance(each, AddressRefused) for each in wrapped):
        return Permanent(f"The address given for {service} is not on the open internet.", detail=name)
    if any(isinstance(each, _NOT_SENT) for each in wrapped):
        return Temporary(f"{service} could not be reached.", detail=name)
    if isinstance(error, UnreadableAnswer | ValueError) and not isinstance(error, UnicodeError):
        return Unsure(f"{service} gave an answer that could not be read.", detail=name)
    if any(isinstance(each, _TOO_LATE) for each in wrapped):
        return Unsure(f"{service} did not answer in time.", detail=name)
    if any(isinstance(each, _NETWORK) for each in wrapped):
        return Unsure(f"The connection to {service} broke before it answered.", detail=name)
    return Unsure(f"Something unexpected happened while calling {service}.", detail=name)


def _unwrapped(error: BaseException) -> Iterator[BaseException]:
    """An exception and those it was made from.

    Clients keep them as `reason`, as an argument or as the cause. `__context__` is left out: it may be the
    error of an earlier call, which tells nothing about this one.
    """
    waiting = [error]
    for _ in range(16):
        if not waiting:
            return
        each = waiting.pop()
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__)
        waiting.extend(found for found in inner if isinstance(found, BaseException))


# ── Redaction ────────────────────────────────────────────────────────────────────────────────────────────

_EMAIL = re.compile(r"[^\s\"'<>(){}\[\],;:=&/?@]{1,64}(?:@|%40)[A-Za-z0-9.-]{1,255}")
_TOKEN = re.compile(
    r"(?i)\b(?:(?:bearer|basic|bot)\s+[^\s\"',]{8,}|xox[a-z](?:\.xox[a-z])?-[\w-]+|bot\d+:[\w-]+|[a-f0-9]{32}-[a-z]{2,4}\d{1,3}"
    r"|ya29\.[\w.-]+|eyJ[\w-]+\.[\w-]+\.[\w-]+|[a-f0-9]{64})"
)
_ADDRESS = re.compile(r"https?://[^\s\"'<>]+")
_REDACTED_AT_MOST = 20_000


def redact(text: str) -> str:
    """Text without addresses of people and of pages, and without what looks like a token; cut if very long."""
    cut = text[:_REDACTED_AT_MOST]
    return _EMAIL.sub("[email]", _TOKEN.sub("[secret]", _ADDRESS.sub("[address]", cut)))


def excerpt(body: Any) -> str:
    """A short redacted piece of a service's answer for the run's log."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    return redact(text)[:DETAIL_LENGTH]
