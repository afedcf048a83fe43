"""Pocketsflow's signature: HMAC-SHA256 of the raw body, lower-case hex, the secret used as text.

Source: the official example repository Pocketsflow/subscriptions-example. The timestamp is not signed.
"""

import hmac

EVENT_HEADER = "X-Pocketsflow-Event"
SIGNATURE_HEADER = "X-Pocketsflow-Signature"
TIMESTAMP_HEADER = "X-Pocketsflow-Timestamp"


def sign(secret: str, body: bytes) -> str:
    """The signature of `body`: 64 lower-case hexadecimal characters."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def is_signed_by(secret: str, body: bytes, signature: str) -> bool:
    """Whether `signature` is that of `body`, compared in constant time."""
    # As bytes: compare_digest refuses text that is not ASCII, and the header is the sender's to choose.
    return hmac.compare_digest(sign(secret, body).encode(), signature.encode("utf-8", "replace"))
