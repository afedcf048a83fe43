"""Google's service accounts: the pasted key file checked, and access tokens renewed."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.auth import credentials, crypt, jwt
from google.auth.exceptions import RefreshError

TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_ASSERTION_LIFETIME = timedelta(minutes=55)
_NEW_FOR_SECONDS = 60.0


@dataclass(frozen=True)
class KeyFile:
    """What a service account's key file says: the account's address, and what signs in its name."""

    email: str
    signer: crypt.Signer


def read_key_file(text: str) -> KeyFile:
    """The key file that a merchant pasted. Raises ValueError with a sentence that names the fix.

    Nothing but the address and the key is taken from it: its other fields name hosts, and a pasted file
    must not choose where signed requests go.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON. Paste the whole key file from Google, from { to }.") from None
    if not isinstance(found, dict) or found.get("type") != "service_account":
        raise ValueError("This is not a service account's key. Make one in Google Cloud under Keys, as JSON.")
    for name in ("client_email", "private_key", "private_key_id", "token_uri"):
        if not isinstance(found.get(name), str) or not found[name]:
            raise ValueError(f"The key file has no {name}. Paste the whole file as Google gave it to you.")
    if found["token_uri"] != TOKEN_ADDRESS:
        raise ValueError(f"The key file's token_uri has to be {TOKEN_ADDRESS}. Paste the file unchanged.")
    try:
        key = load_pem_private_key(found["private_key"].encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(
            "The key file's private_key cannot be read. Make a new key in Google Cloud and paste it whole."
        )
    return KeyFile(found["client_email"], crypt.RSASigner(key, found["private_key_id"]))


def moved(address: str, base: str) -> str:
    """One of Google's addresses, at an operator's own base address if there is one."""
    return base.rstrip("/") + urlsplit(address).path if base else address


class ServiceAccount(credentials.Credentials):
    """A service account's access token, safe among threads and renewed in one attempt.

    google-auth's own class repeats a failed renewal with sleeps, renews in every thread at once, and looks up
    the account's regions in the background at a host that the key file can name.
    """

    def __init__(self, key_file: KeyFile, scopes: Sequence[str], base: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.email = key_file.email
        self._signer = key_file.signer
        self._scope = " ".join(scopes)
        self._token_address = moved(TOKEN_ADDRESS, base)
        self._renewing = threading.Lock()
        self._renewed_at = 0.0

    def refresh(self, request: Any) -> None:
        """Renews the token. Raises RefreshError, `retryable` where waiting may help; TransportError."""
        seen = self.token
        with self._renewing:
            if self.token is not seen:
                return  # another thread renewed it while this one waited
            answer = request(
                url=self._token_address,
                method="POST",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(
                    {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion()}
                ),
                allow_redirects=False,
            )
            found = _parsed(answer.data)
            if answer.status != 200 or not isinstance(found.get("access_token"), str):
                passing = answer.status in (200, 408, 429) or answer.status >= 500
                said = f"{found.get('error', answer.status)}: {found.get('error_description', '')}"
                raise RefreshError(said, retryable=passing)
            lifetime = timedelta(seconds=float(found.get("expires_in", 3600)))
            self.expiry = datetime.now(UTC).replace(tzinfo=None) + lifetime  # google-auth reckons in naive UTC
            self.token = found["access_token"]
            self._renewed_at = time.monotonic()

    def forget_old_token(self) -> bool:
        """Drops a token that Google refused, unless it is new. Whether the next call will have another."""
        with self._renewing:
            is_old = time.monotonic() - self._renewed_at > _NEW_FOR_SECONDS
            if is_old:
                self.token = None
            return is_old

    def _assertion(self) -> bytes:
        now = datetime.now(UTC)
        claims = {
            "iss": self.email,
            "scope": self._scope,
            "aud": TOKEN_ADDRESS,
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LIFETIME).timestamp()),
        }
        return bytes(jwt.encode(self._signer, claims))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
