"""Seals secrets so that they can only be opened in the place they were sealed for.

AES-256-GCM; the table, column and row are authenticated with the ciphertext, so a sealed value copied to
another row, by a mistake or by whoever can write to the database, does not open.
"""

import hmac
import os
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_KEY_NAME_LENGTH = 4
_NONCE_LENGTH = 12


class CannotOpen(Exception):
    """A sealed value does not open: another key, another place, or it was altered."""


@dataclass(frozen=True)
class Place:
    """Where a sealed value belongs."""

    table: str
    column: str
    row: str

    def bytes(self) -> bytes:
        """The place as it is authenticated with the ciphertext."""
        return "\x00".join((self.table, self.column, self.row)).encode()


class Vault:
    """Seals with the first key; opens with any of them, so that a key can be changed without a halt."""

    def __init__(self, keys: dict[bytes, AESGCM], newest: bytes, deriving: bytes) -> None:
        self._keys = keys
        self._newest = newest
        self._deriving = deriving

    @classmethod
    def from_keys(cls, texts: list[str]) -> Self:
        """A vault from keys as text of any length, the one in use first."""
        derived = [_key(text, b"pocketwire credentials") for text in texts]
        named = {_key_name(key): AESGCM(key) for key in derived}
        return cls(named, _key_name(derived[0]), _key(texts[0], b"pocketwire derived secrets"))

    def seal(self, text: str, place: Place) -> bytes:
        """The sealed form of `text`, to be stored at `place`."""
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = self._keys[self._newest].encrypt(nonce, text.encode(), place.bytes())
        return _VERSION + self._newest + nonce + sealed

    def open(self, sealed: bytes, place: Place) -> str:
        """What was sealed for `place`. Raises CannotOpen."""
        name, nonce, rest = self._parts(sealed)
        key = self._keys.get(name)
        if key is None:
            raise CannotOpen("sealed with a key that is not among POCKETWIRE_CREDENTIALS_KEY's")
        try:
            return key.decrypt(nonce, rest, place.bytes()).decode()
        except InvalidTag:
            raise CannotOpen("altered, or sealed for another place") from None

    def derive(self, place: Place) -> str:
        """A secret of our own for `place`, stored nowhere: 64 hexadecimal characters.

        It changes with the key in use.
        """
        return hmac.digest(self._deriving, place.bytes(), "sha256").hex()

    @staticmethod
    def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes]:
        if sealed[:1] != _VERSION or len(sealed) < 1 + _KEY_NAME_LENGTH + _NONCE_LENGTH + 16:
            raise CannotOpen("not a sealed value")
        name_ends = 1 + _KEY_NAME_LENGTH
        return (
            sealed[1:name_ends],
            sealed[name_ends : name_ends + _NONCE_LENGTH],
            sealed[name_ends + _NONCE_LENGTH :],
        )


def _key(text: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, purpose).derive(text.encode())


def _key_name(key: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(b"name of " + key)
    return digest.finalize()[:_KEY_NAME_LENGTH]
