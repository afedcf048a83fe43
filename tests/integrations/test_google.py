"""Google's access tokens: fetched once, renewed by one thread, and refused in words that say what to do."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from werkzeug.wrappers import Request

from integrations.errors import ActionError, Temporary, Unauthorized
from integrations.google_sheets import Credentials, connect, integration, spreadsheets
from integrations.kit import validate
from tests.integrations.conftest import StartVendor
from tests.integrations.google_key import ACCOUNT, key_file, private_key, token_answer
from tests.integrations.vendor import Answer, Vendor, answer

CREDENTIALS = validate(Credentials, {"service_account": key_file()})
FILES = "GET /drive/v3/files"
TOKEN = "POST /token"


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """Google's token endpoint and Drive; every call to Drive needs the token."""
    vendor = start_vendor("google-drive.openapi.json")
    vendor.beside = {TOKEN: answer(token_answer("ya29.first"))}
    vendor.answers = {FILES: answer({"files": []})}
    return vendor


def ask(client: Any) -> None:
    """Any call; an ActionError, and nothing else, comes out."""
    try:
        spreadsheets(client, {})
    except Exception as error:  # noqa: BLE001 - whatever a client raises, the integration has to read it
        raise integration.error(error) from None


def test_the_token_is_asked_for_with_a_signed_assertion(vendor: Vendor) -> None:
    """For Google's own address even where an operator sends it elsewhere; the key itself stays here."""
    ask(connect(CREDENTIALS, vendor.url))
    asked = parse_qs(vendor.seen(TOKEN)[0].get_data(as_text=True))
    assert asked["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    signed, _, signature = asked["assertion"][0].rpartition(".")
    key = load_pem_private_key(private_key().encode(), None)
    assert isinstance(key, RSAPrivateKey)
    key.public_key().verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
    claims = json.loads(_decoded(signed.split(".")[1]))
    assert claims["iss"] == ACCOUNT
    assert claims["aud"] == "https://oauth2.googleapis.com/token"
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    assert claims["scope"].split() == [
        "https://www.googleapis.com/auth/spreadsheets",
        "https://www.googleapis.com/auth/drive.metadata.readonly",
    ]


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_base_address_may_have_a_path(start_vendor: StartVendor) -> None:
    """As an operator's proxy may want it."""
    vendor = start_vendor("google-drive.openapi.json", "/google")
    vendor.beside = {TOKEN: answer(token_answer())}
    vendor.answers = {FILES: answer({"files": []})}
    ask(connect(CREDENTIALS, f"{vendor.url}/"))
    assert [request.path for request in vendor.calls] == ["/google/token", "/google/drive/v3/files"]


def test_one_token_serves_many_calls_until_it_runs_out(vendor: Vendor) -> None:
    """Renewed ahead of its end, not after a refusal."""
    client = connect(CREDENTIALS, vendor.url)
    for _ in range(3):
        ask(client)
    assert len(vendor.seen(TOKEN)) == 1
    vendor.beside[TOKEN] = answer(token_answer("ya29.short", seconds=60))
    other = connect(CREDENTIALS, vendor.url)
    ask(other)
    vendor.beside[TOKEN] = answer(token_answer("ya29.second"))
    ask(other)
    assert _bearers(vendor) == ["ya29.first"] * 3 + ["ya29.short", "ya29.second"]


def _bearers(vendor: Vendor) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in vendor.seen(FILES)]


def test_threads_that_share_a_client_renew_once(vendor: Vendor) -> None:
    """google-auth itself lets every thread renew."""
    client = connect(CREDENTIALS, vendor.url)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, [client] * 12))
    assert len(vendor.seen(TOKEN)) == 1
    assert len(vendor.seen(FILES)) == 12


def test_an_old_token_that_google_refuses_is_dropped(vendor: Vendor) -> None:
    """Tokens can end early: the next try brings a new one. If that is refused too, the account is out."""

    def accepts_the_second(request: Request) -> Any:
        is_second = request.headers["Authorization"] == "Bearer ya29.second"
        return answer({"files": []}) if is_second else answer({"error": {"code": 401, "message": "Invalid"}}, 401)

    client = connect(CREDENTIALS, vendor.url)
    ask(client)
    vendor.answers[FILES] = accepts_the_second
    with pytest.raises(Unauthorized):
        ask(client)
    client.account._renewed_at -= 61  # a minute later
    vendor.beside[TOKEN] = answer(token_answer("ya29.second"))
    with pytest.raises(Temporary):
        ask(client)
    ask(client)
    assert len(vendor.seen(TOKEN)) == 2


@pytest.mark.parametrize(
    ("refusal", "meaning"),
    [
        (answer({"error": "invalid_grant", "error_description": f"Unknown {ACCOUNT}"}, 400), Unauthorized),
        (answer({"error": "invalid_client"}, 401), Unauthorized),
        (answer({"error": "internal_failure"}, 500), Temporary),
        (answer("<html>busy</html>", 503), Temporary),
        (answer(status=429), Temporary),
        (answer("<html>Welcome</html>"), Temporary),
        (answer([]), Temporary),
        (answer(status=302, headers={"Location": "/elsewhere"}), Unauthorized),
    ],
)
def test_a_token_that_is_not_given(vendor: Vendor, refusal: Answer, meaning: type[ActionError]) -> None:
    """One attempt, where google-auth makes three and sleeps between; nothing was written, so never unsure."""
    vendor.beside[TOKEN] = refusal
    with pytest.raises(meaning) as caught:
        ask(connect(CREDENTIALS, vendor.url))
    assert len(vendor.calls) == 1
    assert ACCOUNT not in caught.value.detail


def test_a_broken_connection_to_the_token_endpoint_wrote_nothing(vendor: Vendor, closed_port: int) -> None:
    """Whether refused, or dropped after sending."""
    vendor.beside[TOKEN] = vendor.drop
    for base in (vendor.url, f"http://127.0.0.1:{closed_port}"):
        with pytest.raises(Temporary, match="Google could not be reached"):
            ask(connect(CREDENTIALS, base))
    assert len(vendor.calls) == 1


def test_no_key_and_no_token_in_what_is_printed(vendor: Vendor) -> None:
    """A client or its account may end up in a log."""
    client = connect(CREDENTIALS, vendor.url)
    ask(client)
    for shown in (repr(client), repr(client.account), str(client.account), repr(CREDENTIALS)):
        assert "PRIVATE KEY" not in shown
        assert "ya29" not in shown
