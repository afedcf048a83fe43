"""“Send me a test event”: a signed delivery to our own receiver, the way Pocketsflow would send it."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine
from werkzeug.test import Client

from recipes.db import transaction
from recipes.endpoints import endpoint_of, sample_secret
from recipes.events import event_type
from recipes.models import Mode
from recipes.pocketsflow.sending import compact, fresh, headers
from recipes.vault import Vault
from web.receiver import Receiver
from web.site import SendSample


def sample_sender(engine: Engine, vault: Vault, receiver: Receiver, now: Callable[[], datetime]) -> SendSample:
    """What the pages send samples with: signed as a sample, taken in by `receiver` here."""
    client = Client(receiver)

    def send(merchant_id: int, mode: Mode, event: str) -> str:
        known = event_type(event)
        if known is None:
            return f"There is no event called {event}."
        with transaction(engine) as session:
            endpoint = endpoint_of(session, merchant_id, mode, now())
        body = compact(fresh(event, known.sample()))
        signed = headers(event, sample_secret(vault, endpoint), body, now())
        answer = client.post(f"/hooks/{endpoint.token}", data=body, headers=signed)
        if answer.status_code >= 300:
            return f"The sample was not taken. {answer.json['message'] if answer.json else ''}".strip()
        return f"Sent: a sample “{known.title}” came in, signed and checked. What is done about it stands here."

    return send
