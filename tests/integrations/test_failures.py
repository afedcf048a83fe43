"""The common reading of statuses and broken connections, and what redaction takes out."""

import http.client
import socket
import ssl
import urllib.error
from datetime import UTC, datetime, timedelta

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, SSLError

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.failures import (
    DETAIL_LENGTH,
    AddressRefused,
    HttpError,
    UnreadableAnswer,
    excerpt,
    http_error,
    network_error,
    redact,
    retry_after,
    status_error,
)

NOW = datetime(2026, 7, 24, 12, 0, tzinfo=UTC)
STATUSES: list[tuple[int, type[ActionError]]] = [
    (200, Unsure), (302, Permanent), (400, Permanent), (401, Unauthorized), (403, Permanent), (404, Permanent),
    (408, Temporary), (409, Permanent), (410, Permanent), (422, Permanent), (425, Temporary), (429, Temporary),
    (500, Unsure), (502, Unsure), (503, Unsure), (504, Unsure),
]  # fmt: skip


@pytest.mark.parametrize(("status", "meaning"), STATUSES)
def test_a_status_means_what_happens_next(status: int, meaning: type[ActionError]) -> None:
    """A 5xx is Unsure: whether the call happened only the service knows."""
    error = status_error("Acme", status)
    assert type(error) is meaning
    assert error.status == status
    assert error.sentence.startswith("Acme ")
    assert error.sentence.endswith(".")


def test_the_services_own_sentence_is_kept_without_peoples_addresses() -> None:
    """On one line, with one full stop."""
    error = status_error("Acme", 422, reason="The list is\nfull for ada@example.com..")
    assert error.sentence == "Acme refused this. Acme says: The list is full for [email]."


def test_an_http_errors_wait_is_read_from_its_headers() -> None:
    """Whatever their case."""
    error = http_error("Acme", HttpError(429, {"token": "xoxb-1-a"}, {"retry-after": "7"}), now=NOW)
    assert isinstance(error, Temporary)
    assert (error.after, error.detail) == (timedelta(seconds=7), '{"token": "[secret]"}')


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("0.5", timedelta(seconds=0.5)),
        ("Fri, 24 Jul 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Fri, 24 Jul 2026 11:00:00 GMT", timedelta(0)),
        ("Fri, 24 Jul 2026 11:00:00", None),
        ("soon", None),
        ("-7", None),
        ("", None),
    ],
)
def test_how_long_a_service_asks_to_wait(value: str, wait: timedelta | None) -> None:
    """Seconds or a date; what cannot be read leaves the wait to us."""
    assert retry_after({"Retry-After": value}, NOW) == wait


def _requests(inner: Exception) -> requests.exceptions.ConnectionError:
    return requests.exceptions.ConnectionError(inner)


def _retried(reason: Exception) -> requests.exceptions.ConnectionError:
    return _requests(MaxRetryError(None, "/members/ada@example.com", reason))  # type: ignore[arg-type]


NOT_SENT = [
    ConnectionRefusedError(111, "refused"),
    socket.gaierror(-2, "unknown"),
    requests.exceptions.ConnectTimeout("late"),
    requests.exceptions.ProxyError("no proxy"),
    _retried(NewConnectionError(None, "refused")),  # type: ignore[arg-type]
    _retried(SSLError(ssl.SSLCertVerificationError("wrong host"))),
    urllib.error.URLError(ConnectionRefusedError()),
    urllib.error.URLError(TimeoutError("timed out")),
]
PERHAPS_SENT = [
    TimeoutError("timed out"),
    requests.exceptions.ReadTimeout("late"),
    requests.exceptions.ChunkedEncodingError("cut"),
    _requests(ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed"))),
    _retried(SSLError(ssl.SSLEOFError("cut"))),
    http.client.RemoteDisconnected("closed"),
    http.client.IncompleteRead(b"{"),
    ConnectionResetError(104, "reset"),
    UnreadableAnswer("HTTP 200"),
    requests.exceptions.JSONDecodeError("no JSON", "<html>", 0),
    KeyError("id"),
]


@pytest.mark.parametrize("error", NOT_SENT, ids=repr)
def test_what_was_never_sent_is_simply_tried_again(error: Exception) -> None:
    """Also for actions that must not happen twice."""
    assert type(network_error("Acme", error)) is Temporary


@pytest.mark.parametrize("error", PERHAPS_SENT, ids=repr)
def test_what_may_have_been_sent_is_unsure(error: Exception) -> None:
    """TLS too can break after sending; a certificate is checked before."""
    assert type(network_error("Acme", error)) is Unsure


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError("timed out"), "Acme did not answer in time."),
        (requests.exceptions.ReadTimeout("late"), "Acme did not answer in time."),
        (ConnectionResetError(104, "reset"), "The connection to Acme broke before it answered."),
    ],
)
def test_silence_is_told_from_a_broken_line(error: Exception, said: str) -> None:
    assert str(network_error("Acme", error)) == said


def test_an_earlier_calls_failure_does_not_speak_for_this_one() -> None:
    """It stays in __context__ when a second call breaks inside the handling of the first."""
    error = http.client.RemoteDisconnected("closed")
    error.__context__ = ConnectionRefusedError()
    assert type(network_error("Acme", error)) is Unsure


def test_a_refused_address_is_for_the_merchant_to_change() -> None:
    """However deep the client wrapped it."""
    assert type(network_error("Acme", _requests(ProtocolError("aborted", AddressRefused("private"))))) is Permanent


@pytest.mark.parametrize("error", [*NOT_SENT, *PERHAPS_SENT, ValueError("ada@example.com")], ids=repr)
def test_of_an_exception_only_its_class_is_kept(error: Exception) -> None:
    """Its text holds addresses and tokens."""
    assert network_error("Acme", error).detail == type(error).__name__


@pytest.mark.parametrize(
    "secret",
    [
        "ada@example.com",
        "ada+books@mail.example.co.uk",
        "ada%40example.com",
        "https://api.example/bot1:AA/send?email=ada",
        "xoxb-12-ab-CD",
        "xoxe.xoxb-1-ab",
        "Bearer abcdef123456",
        "Bot MTIz.abc-DEF_x",
        "bot123456:AAE-x_y",
        "0123456789abcdef0123456789abcdef-us21",
        "ya29.a0-b_c",
        "eyJhbGci.eyJpc3Mi.c2ln",
        "0123456789abcdef" * 4,
    ],
)
def test_addresses_and_tokens_are_taken_out(secret: str) -> None:
    """In a sentence, in quotes and in JSON."""
    for text in (f"No {secret} here", f"'{secret}'", excerpt({"message": secret, "status": 400})):
        assert secret not in redact(text)
    assert excerpt({"message": secret, "status": 400}).endswith('"status": 400}')


def test_plain_words_stay() -> None:
    """What is kept should still help whoever reads it."""
    text = "The list a1b2c3 is full: 500 of 500 (HTTP 422). Bot has no right to do this."
    assert redact(text) == text


def test_an_excerpt_is_short_and_quick_however_long_the_answer() -> None:
    """An answer may be 4 MB of anything."""
    assert len(excerpt("a" * 4_000_000)) == DETAIL_LENGTH
    assert len(excerpt("a@" * 2_000_000)) <= DETAIL_LENGTH
