"""Sealed secrets open only in their place and with their key."""

import pytest

from recipes.vault import CannotOpen, Place, Vault

PLACE = Place("connection", "credentials", "7")


def test_what_was_sealed_opens_in_its_place_only() -> None:
    """A sealed value copied to another row, column or table is useless."""
    vault = Vault.from_keys(["a" * 40])
    sealed = vault.seal("xoxb-secret", PLACE)
    assert b"xoxb" not in sealed
    assert vault.open(sealed, PLACE) == "xoxb-secret"
    for other in (
        Place("connection", "credentials", "8"),
        Place("connection", "name", "7"),
        Place("x", "credentials", "7"),
    ):
        with pytest.raises(CannotOpen):
            vault.open(sealed, other)


def test_derived_secrets_differ_by_place_and_by_key() -> None:
    """One that is known tells nothing of another, and the key stays what it was after a restart."""
    vault, same, other = (Vault.from_keys([text * 40]) for text in "aab")
    assert vault.derive(PLACE) == same.derive(PLACE)
    elsewhere = Place("connection", "credentials", "8")
    assert len({vault.derive(PLACE), vault.derive(elsewhere), other.derive(PLACE)}) == 3


def test_an_altered_value_does_not_open() -> None:
    """Whoever can write to the database cannot make one secret into another."""
    vault = Vault.from_keys(["a" * 40])
    sealed = bytearray(vault.seal("xoxb-secret", PLACE))
    sealed[-1] ^= 1
    with pytest.raises(CannotOpen):
        vault.open(bytes(sealed), PLACE)
    with pytest.raises(CannotOpen):
        vault.open(b"", PLACE)


def test_keys_rotate_without_a_halt() -> None:
    """The old key opens what it sealed; what is sealed from now on needs the new one."""
    old = Vault.from_keys(["old " * 10])
    both = Vault.from_keys(["new " * 10, "old " * 10])
    sealed = old.seal("s", PLACE)
    assert both.open(sealed, PLACE) == "s"
    renewed = both.seal("s", PLACE)
    with pytest.raises(CannotOpen):
        old.open(renewed, PLACE)
