"""The first-run link: makes the first account and its store, then never works again."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import login_user

from recipes.accounts import AccountError, create_account, first_run_is_open
from recipes.db import reading, transaction
from recipes.models import Account
from web.auth import user_of
from web.site import site

blueprint = Blueprint("first_run", __name__)

_DIFFERENT = "The two passwords are not the same."
_ENDED = (
    "This link is not good any more: it works once, and only the newest one does. Look for a newer one where "
    "Pocketwire was started. If you have an account already, sign in."
)


@blueprint.route("/first-run/<token>", methods=["GET", "POST"])
def welcome(token: str) -> ResponseReturnValue:
    """The form for the store's name, e-mail and password; then signed in and at Home."""
    problem = ""
    if request.method == "POST":
        try:
            account = _create(token)
        except AccountError as error:
            problem = str(error)
        else:
            login_user(user_of(account.email), authn_via=["password"])
            return redirect(url_for("home.home"))
    with reading(site().engine) as session:
        if not first_run_is_open(session, token):
            abort(404, _ENDED)
    return render_template(
        "account/first_run.html", problem=problem, entered=request.form, passwords_differ=problem == _DIFFERENT
    )


def _create(token: str) -> Account:
    form = request.form
    if form.get("password") != form.get("password_again"):
        raise AccountError(_DIFFERENT)
    with transaction(site().engine) as session:
        # Asked in the same transaction, so that the link makes one account however fast it is clicked.
        if not first_run_is_open(session, token):
            abort(404, _ENDED)
        return create_account(
            session, form.get("email", ""), form.get("password", ""), form.get("store", ""), site().now()
        )
