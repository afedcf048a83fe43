"""Set-up: the delivery address and the signing secret of both sides of a store, and a test event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlmodel import Session

from recipes.addresses import is_own_machine
from recipes.db import reading, transaction
from recipes.endpoints import (
    EndpointError,
    delivery_url,
    endpoint_of,
    find_endpoint,
    last_delivery_at,
    on_earlier_secret,
    rejections,
    set_secret,
)
from recipes.events import EVENT_TYPES, event_type
from recipes.models import Mode, RejectedDelivery
from web.site import merchant_id, site

blueprint = Blueprint("setup", __name__, url_prefix="/set-up")


@blueprint.get("")
def setup() -> ResponseReturnValue:
    """The page."""
    return _page()


@blueprint.post("/<any(live, test):mode>/endpoint")
def make(mode: str) -> ResponseReturnValue:
    """Makes the delivery address of one side."""
    with transaction(site().engine) as session:
        endpoint_of(session, merchant_id(), Mode(mode), site().now())
    return redirect(url_for("setup.setup", _anchor=mode))


@blueprint.post("/<any(live, test):mode>/secret")
def keep_secret(mode: str) -> ResponseReturnValue:
    """Takes the signing secret; those before stay good for a day."""
    try:
        with transaction(site().engine) as session:
            endpoint = endpoint_of(session, merchant_id(), Mode(mode), site().now())
            set_secret(session, site().vault, endpoint, request.form.get("secret", ""), site().now())
            until = endpoint.previous_until
    except EndpointError as error:
        return _page({mode: str(error)}), 422
    overlap = " Those before stay good for a day, so nothing under way is refused." if until else ""
    flash(f"The signing secret is saved.{overlap}", "success")
    return redirect(url_for("setup.setup", _anchor=mode))


@blueprint.post("/<any(live, test):mode>/sample")
def send_sample(mode: str) -> ResponseReturnValue:
    """Sends a signed sample delivery to our own receiver, as Pocketsflow would."""
    wanted, send = event_type(request.form.get("event", "")), site().send_sample
    if wanted is None:
        abort(404)
    if send is None:
        flash("Sample deliveries cannot be sent from here: use “pocketwire send”.", "error")
    else:
        flash(send(merchant_id(), Mode(mode), wanted.name), "info")
    return redirect(url_for("activity.events"))


def _page(problems: dict[str, str] | None = None) -> str:
    with reading(site().engine) as session:
        sides = [_side(session, mode) for mode in Mode]
    is_local = is_own_machine(site().settings.public_url)
    return render_template(
        "setup/setup.html", sides=sides, problems=problems or {}, event_types=EVENT_TYPES, is_local=is_local
    )


@dataclass(frozen=True)
class Side:
    """What the page says of one side of a store. `overlap_until`: how long the secrets before are still good.

    `is_signed_before`: the last delivery was signed with one of those.
    """

    mode: str
    address: str | None = None
    has_secret: bool = False
    overlap_until: datetime | None = None
    last_delivery: datetime | None = None
    refused: Sequence[RejectedDelivery] = ()
    is_signed_before: bool = False


def _side(session: Session, mode: Mode) -> Side:
    endpoint = find_endpoint(session, merchant_id(), mode)
    if endpoint is None:
        return Side(mode)
    overlap = endpoint.previous_until
    return Side(
        mode=mode,
        address=delivery_url(site().settings, endpoint),
        has_secret=endpoint.secret is not None,
        overlap_until=overlap if overlap and overlap > site().now() else None,
        last_delivery=last_delivery_at(session, endpoint),
        refused=rejections(session, endpoint),
        is_signed_before=on_earlier_secret(session, endpoint) is not None,
    )
