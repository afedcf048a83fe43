"""Pocketsflow's signature."""

from recipes.pocketsflow.signature import is_signed_by, sign

# The fact sheet's vector: the documented example's secret, a body of 155 bytes.
SECRET = "whsec_1a2b3c4d5e6f7g8h9i0j"
BODY = (
    '{"order":{"id":"order_xyz123"},"amount":64.99,"currency":"usd",'
    '"customer":{"email":"customer@example.com","firstName":"Zoë"},"webhookId":"webhook_123abc"}'
).encode()
SIGNATURE = "aa0aa25f4bce3542096aeab2993a6e8194d0f34f6298b6fa9e3429f526362a72"


def test_the_published_vector_is_met() -> None:
    """The algorithm is Pocketsflow's, byte for byte."""
    assert len(BODY) == 155
    assert sign(SECRET, BODY) == SIGNATURE
    assert is_signed_by(SECRET, BODY, SIGNATURE)


def test_a_changed_body_a_wrong_secret_and_odd_signatures_are_refused() -> None:
    """Nothing but the exact signature of these bytes under this secret passes."""
    assert not is_signed_by(SECRET, BODY + b" ", SIGNATURE)
    assert not is_signed_by("1a2b3c4d5e6f7g8h9i0j", BODY, SIGNATURE)
    for odd in ("", SIGNATURE.upper(), SIGNATURE[:-1], "sha256=" + SIGNATURE, "é" * 64, "\ud800"):
        assert not is_signed_by(SECRET, BODY, odd)
