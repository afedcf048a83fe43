"""What the pages work with: settings, database, vault, time, and the way to send a sample delivery."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import current_app, g
from sqlalchemy import Engine

from recipes.mail import Outbox
from recipes.models import Merchant, Mode
from recipes.settings import Settings
from recipes.vault import Vault
from web.choices import LiveChoices
from web.throttle import Throttle

# Merchant's id, side and event type in; a sentence for the merchant out.
SendSample = Callable[[int, Mode, str], str]


@dataclass
class Site:
    """Kept as `app.extensions["pocketwire"]`.

    now: the time, aware, in UTC. started_at: since when this process serves. wake: tells the engine that there is
    something to do. choices: what can be chosen for a recipe's fields. outbox: takes mail. send_sample: sends a signed
    sample delivery to our own receiver; None where there is none. sign_ins: counts tries to sign in. forgotten: counts
    who asks for another password.
    """

    settings: Settings
    engine: Engine
    vault: Vault
    now: Callable[[], datetime]
    started_at: datetime
    wake: Callable[[], None]
    choices: LiveChoices
    outbox: Outbox
    send_sample: SendSample | None = None
    sign_ins: Throttle = field(default_factory=Throttle)
    forgotten: Throttle = field(default_factory=lambda: Throttle(timedelta(hours=1)))


def site() -> Site:
    """The present app's site."""
    found: Site = current_app.extensions["pocketwire"]
    return found


def merchant() -> Merchant:
    """The store whose pages are shown: one that the signed-in person belongs to."""
    found: Merchant = g.merchant
    return found


def merchant_id() -> int:
    """The id of that store: the first argument of every finder."""
    number = merchant().id
    if number is None:
        raise ValueError("the merchant is not stored")
    return number
