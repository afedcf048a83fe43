"""A service account's key file, made for the test run."""

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ACCOUNT = "pocketwire@shop-1234.iam.gserviceaccount.com"
ACCESS_TOKEN = "ya29.c.b0Aaekm1K-of-the-test"


@cache
def private_key() -> str:
    """A new RSA key, the same for the whole run."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_file(**changes: Any) -> str:
    """The file's text; `changes` replace fields, None takes one out."""
    fields = {
        "type": "service_account",
        "project_id": "shop-1234",
        "private_key_id": "0123456789abcdef",
        "private_key": private_key(),
        "client_email": ACCOUNT,
        "client_id": "1234567890",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    } | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def token_answer(token: str = ACCESS_TOKEN, seconds: int = 3599) -> dict[str, Any]:
    """What Google's token endpoint answers."""
    return {"access_token": token, "expires_in": seconds, "token_type": "Bearer"}
