"""Account: who is signed in, the store's name and time zone, another store, the way out."""

from zoneinfo import available_timezones

from flask import Blueprint, abort, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from recipes.accounts import AccountError, change_store
from recipes.db import transaction
from web.site import merchant_id, site

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
def account() -> ResponseReturnValue:
    """The page."""
    return _page()


@blueprint.post("/store")
def change() -> ResponseReturnValue:
    """Changes the store's name and time zone."""
    try:
        with transaction(site().engine) as stored:
            change_store(stored, merchant_id(), request.form.get("name", ""), request.form.get("time_zone", ""))
    except AccountError as error:
        return _page(str(error)), 422
    flash("Saved.", "success")
    return redirect(url_for("account.account"))


@blueprint.post("/switch")
def switch() -> ResponseReturnValue:
    """Shows another of the stores that the person belongs to."""
    chosen = request.form.get("merchant", type=int)
    if chosen not in {merchant.id for merchant in g.merchants}:
        abort(404)
    session["merchant_id"] = chosen
    return redirect(url_for("home.home"))


def _page(problem: str = "") -> str:
    return render_template(
        "account/account.html", problem=problem, entered=request.form, zones=sorted(available_timezones())
    )
