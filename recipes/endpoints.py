"""Where Pocketsflow delivers: an address and a signing secret for each side, live and test, of a store."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from recipes.models import Endpoint, Event, Mode, Origin, RejectedDelivery
from recipes.refusal import Refusal
from recipes.settings import Settings
from recipes.vault import CannotOpen, Place, Vault

OVERLAP = timedelta(days=1)
SHORTEST_SECRET, LONGEST_SECRET = 12, 500
MOST_PREVIOUS = 4
# Counted like a refusal, though such a delivery is taken.
TOO_LARGE = "it was over 256 kB"
EARLIER_SECRET = "signed with an earlier secret"  # noqa: S105 - a reason, not a secret


class EndpointError(Refusal):
    """What was asked of an endpoint cannot be. The text is a sentence for the merchant."""


def find_endpoint(session: Session, merchant_id: int, mode: Mode) -> Endpoint | None:
    """A store's endpoint for one side, if it has been made."""
    found = select(Endpoint).where(Endpoint.merchant_id == merchant_id, Endpoint.mode == mode)
    return session.exec(found).first()


def endpoint_of(session: Session, merchant_id: int, mode: Mode, now: datetime) -> Endpoint:
    """A store's endpoint for one side, made on demand (so it takes a writing transaction)."""
    return find_endpoint(session, merchant_id, mode) or make_endpoint(session, merchant_id, mode, now)


def make_endpoint(session: Session, merchant_id: int, mode: Mode, now: datetime) -> Endpoint:
    """A new endpoint. It takes samples; deliveries once Pocketsflow's secret is pasted."""
    endpoint = Endpoint(merchant_id=merchant_id, mode=mode, token=secrets.token_urlsafe(24), created_at=now)
    session.add(endpoint)
    session.flush()
    return endpoint


def set_secret(
    session: Session, vault: Vault, endpoint: Endpoint, secret: str, now: datetime, overlap: timedelta = OVERLAP
) -> None:
    """Takes the signing secret that Pocketsflow showed. Those before stay good for `overlap`, all of them.

    Who pastes the wrong text and then the right one must not lose what is signed with the one that worked all along.
    Surrounding blanks are dropped: they come with copying. Counts of refused deliveries begin anew. Raises
    EndpointError on a text that can be no secret.
    """
    secret = _checked(secret)
    before = secrets_of(vault, endpoint, now)
    if before and before[0] == secret:
        return
    kept = [each for each in before if each != secret][:MOST_PREVIOUS] if overlap > timedelta(0) else []
    endpoint.previous_secret = vault.seal("\n".join(kept), _place(endpoint, "previous_secret")) if kept else None
    endpoint.previous_until = now + overlap if kept else None
    endpoint.secret = vault.seal(secret, _place(endpoint, "secret"))
    session.add(endpoint)
    # What was refused under the old secret says nothing about the new one.
    session.execute(delete(RejectedDelivery).where(col(RejectedDelivery.endpoint_id) == endpoint.id))
    session.flush()


def _checked(secret: str) -> str:
    secret = secret.strip()
    if not secret:
        raise EndpointError("The signing secret is empty.")
    if "://" in secret:
        raise EndpointError("This is an address. The signing secret is what Pocketsflow shows beside it, once.")
    if not (SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET and secret.isascii() and secret.isprintable()):
        raise EndpointError("This is not a whole signing secret: copy it once more, as Pocketsflow shows it.")
    if " " in secret:
        raise EndpointError("The signing secret has to be one word, as Pocketsflow shows it.")
    return secret


def secrets_of(vault: Vault, endpoint: Endpoint, now: datetime) -> list[str]:
    """The secrets a delivery may be signed with: the present one first, those before while they are still good.

    Raises CannotOpen.
    """
    is_good = endpoint.previous_until is not None and now < endpoint.previous_until
    return [*present_secret(vault, endpoint), *(previous_secrets(vault, endpoint) if is_good else ())]


def present_secret(vault: Vault, endpoint: Endpoint) -> list[str]:
    """Pocketsflow's present secret, none if it was not pasted yet. Raises CannotOpen."""
    return [] if endpoint.secret is None else [vault.open(endpoint.secret, _place(endpoint, "secret"))]


def previous_secrets(vault: Vault, endpoint: Endpoint) -> list[str]:
    """The secrets before the present one, the latest first; they are good until `previous_until`. Raises CannotOpen."""
    if endpoint.previous_secret is None:
        return []
    return vault.open(endpoint.previous_secret, _place(endpoint, "previous_secret")).split("\n")


def sample_secret(vault: Vault, endpoint: Endpoint) -> str:
    """The secret that our own samples are signed with: what it signs is known to be no real delivery."""
    return vault.derive(_place(endpoint, "sample_secret"))


def delivery_url(settings: Settings, endpoint: Endpoint) -> str:
    """The address to enter at Pocketsflow."""
    return f"{settings.public_url}/hooks/{endpoint.token}"


def rejections(session: Session, endpoint: Endpoint) -> list[RejectedDelivery]:
    """The deliveries an endpoint refused, counted by reason, the latest first."""
    found = select(RejectedDelivery).where(
        RejectedDelivery.endpoint_id == endpoint.id, RejectedDelivery.reason != EARLIER_SECRET
    )
    return list(session.exec(found.order_by(col(RejectedDelivery.last_at).desc())))


def on_earlier_secret(session: Session, endpoint: Endpoint) -> RejectedDelivery | None:
    """How many deliveries were signed with an earlier secret, if the last one taken was.

    When that secret ends, the next ones are refused, and lost.
    """
    counted = session.get(RejectedDelivery, (endpoint.id, EARLIER_SECRET))
    last = last_delivery_at(session, endpoint)
    return counted if counted and (last is None or counted.last_at >= last) else None


def last_delivery_at(session: Session, endpoint: Endpoint) -> datetime | None:
    """When an endpoint last took a delivery; None if never."""
    latest = select(func.max(Event.received_at)).where(Event.endpoint_id == endpoint.id, Event.origin == Origin.WEBHOOK)
    return session.exec(latest).one()


def _place(endpoint: Endpoint, column: str) -> Place:
    return Place("endpoint", column, endpoint.token)


def check_secrets_open(session: Session, vault: Vault) -> None:
    """Raises EndpointError if a stored secret does not open: every delivery would be refused, and lost."""
    endpoint = session.exec(select(Endpoint).where(col(Endpoint.secret).is_not(None))).first()
    if endpoint is None or endpoint.secret is None:
        return
    try:
        vault.open(endpoint.secret, Place("endpoint", "secret", endpoint.token))
    except CannotOpen:
        raise EndpointError(
            "POCKETWIRE_CREDENTIALS_KEY (or the file credentials-key) is not the one that the stored secrets were "
            "sealed with. Put the old key back, after the new one and a comma."
        ) from None
