"""The small JSON client: one attempt, time-outs, no redirects, an address guard."""

import json
import logging
import socket
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Response

from integrations.errors import Permanent
from integrations.http import (
    LARGEST_ANSWER,
    HttpError,
    Service,
    Timeouts,
    UnreadableAnswer,
    is_public,
    network_error,
)
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Vendor, answer

SHORT = Timeouts(connect=0.2, total=0.4)


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """A service without a description: whatever the test plans."""
    return start_vendor("no description")


def test_json_goes_out_and_comes_back(vendor: Vendor) -> None:
    """To the base and the path, with one slash between, and the credentials in a header."""
    vendor.answers["POST /things"] = answer({"id": 1}, 201)
    service = Service(f"{vendor.url}/", {"Api-Key": "secret"})
    assert service.call("POST", "/things", json_body={"name": "Ada"}, params={"a": "b"}) == {"id": 1}
    (request,) = vendor.calls
    assert (request.json, request.args.to_dict(), request.headers["Api-Key"]) == ({"name": "Ada"}, {"a": "b"}, "secret")


def test_a_form_can_be_sent_too(vendor: Vendor) -> None:
    """Some services take nothing else."""
    Service(vendor.url, {}).call("PUT", "/things", form_body={"name": "Ada"})
    assert vendor.calls[0].form.to_dict() == {"name": "Ada"}


def test_no_body_is_none(vendor: Vendor) -> None:
    """As a 204 has none."""
    vendor.script = [answer(status=204)]
    assert Service(vendor.url, {}).call("DELETE", "/things/1") is None


@pytest.mark.parametrize(("body", "kept"), [({"error": "no"}, {"error": "no"}), ("<p>no", "<p>no"), (None, "")])
def test_a_refusal_keeps_its_document(vendor: Vendor, body: Any, kept: Any) -> None:
    """For the integration to read the reason from."""
    vendor.script = [answer(body, 422, {"Retry-After": "7"})]
    with pytest.raises(HttpError) as caught:
        Service(vendor.url, {}).call("POST", "/things")
    assert (caught.value.status, caught.value.body, caught.value.headers["retry-after"]) == (422, kept, "7")


def test_a_success_that_cannot_be_read_is_told_apart(vendor: Vendor) -> None:
    """It may well have happened."""
    vendor.script = [answer("<html>")]
    with pytest.raises(UnreadableAnswer):
        Service(vendor.url, {}).call("POST", "/things")


@pytest.mark.parametrize(("status", "raised"), [(200, UnreadableAnswer), (400, HttpError)])
def test_an_endless_answer_is_cut(vendor: Vendor, status: int, raised: type[Exception]) -> None:
    """Memory is shared by all merchants; a refusal stays one, whatever its length."""
    vendor.script = [Response(b"x" * (LARGEST_ANSWER + 100_000), status)]
    with pytest.raises(raised):
        Service(vendor.url, {}).call("GET", "/things")


def test_silence_ends_with_the_time_out_and_is_not_sent_again(vendor: Vendor) -> None:
    """One attempt."""
    vendor.script = [vendor.hang]
    with pytest.raises(requests.exceptions.ReadTimeout):
        Service(vendor.url, {}, timeouts=SHORT).call("POST", "/things")
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(vendor: Vendor, status: int) -> None:
    """They could carry the credentials elsewhere."""
    vendor.script = [answer(status=status, headers={"Location": f"{vendor.url}/elsewhere"})]
    with pytest.raises(HttpError):
        Service(vendor.url, {"Api-Key": "secret"}).call("POST", "/things")
    assert len(vendor.calls) == 1


def test_cookies_are_not_kept(vendor: Vendor) -> None:
    """One buyer's call must not colour the next one's."""
    service = Service(vendor.url, {})
    vendor.script = [answer({}, headers={"Set-Cookie": "session=1; Path=/"})]
    service.call("GET", "/things")
    service.call("GET", "/things")
    assert "Cookie" not in vendor.calls[1].headers


def test_a_guarded_service_does_not_reach_loopback(vendor: Vendor) -> None:
    """A merchant types the host in: it must not open this machine's own network."""
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        Service(vendor.url, {}, guarded=True).call("GET", "/things")
    error = network_error("Acme", caught.value)
    assert isinstance(error, Permanent)
    assert error.sentence == "The address given for Acme is not on the open internet."
    assert vendor.calls == []


def test_a_guarded_service_opens_no_connection_to_find_out() -> None:
    """An open port must look like a closed one, or a merchant could look around in the operator's network."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(requests.exceptions.ConnectionError):
            Service(f"http://127.0.0.1:{listener.getsockname()[1]}", {}, guarded=True).call("GET", "/things")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_guarded_service_takes_no_proxy(
    vendor: Vendor, start_vendor: StartVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy would be the peer that is checked, and it reaches what it likes."""
    proxy = start_vendor("no description")
    monkeypatch.setenv("http_proxy", proxy.url)
    with pytest.raises(requests.exceptions.ConnectionError):
        Service(vendor.url, {}, guarded=True).call("GET", "/things")
    assert proxy.calls == vendor.calls == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("::7f00:1", False),
    ],
)
def test_which_addresses_are_on_the_open_internet(address: str, public: bool) -> None:
    """Also those that wrap an IPv4 address."""
    assert is_public(address) is public


def test_neither_log_nor_text_shows_the_credentials(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG the library beneath writes every address, with buyers' e-mail in it."""
    caplog.set_level(logging.DEBUG)
    service = Service(vendor.url, {"Api-Key": "hunter2"})
    service.call("GET", "/things", params={"email": "ada@example.com"})
    assert "ada" not in caplog.text
    assert "hunter2" not in f"{caplog.text} {service!r} {json.dumps(vars(service), default=repr)}"
