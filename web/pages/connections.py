"""Connections: add, check, reconnect, remove. Secrets go in and never come out."""

from collections.abc import Mapping
from itertools import chain, count
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from integrations import INTEGRATIONS, integration, kit
from integrations.errors import ActionError, Temporary, Unauthorized, Unsure
from recipes import connections, ledger
from recipes.db import reading, transaction
from recipes.models import Connection, ConnectionState
from web.display import needs_credentials
from web.forms import entered, fields_of
from web.site import merchant_id, site

blueprint = Blueprint("connections", __name__, url_prefix="/connections")


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """The merchant's connections, and what can be connected."""
    with reading(site().engine) as session:
        found = connections.of_merchant(session, merchant_id())
        paused = {
            item.connection_id: item
            for item in ledger.needs_attention(session, merchant_id(), site().now())
            if item.fix is ledger.Fix.RECONNECT
        }
    apps = {connection.app for connection in found}
    # One is enough where there are no credentials to tell two apart.
    services = [each for each in INTEGRATIONS if needs_credentials(each.name) or each.name not in apps]
    return render_template("connections/listing.html", connections=found, paused=paused, services=services)


@blueprint.route("/new/<app>", methods=["GET", "POST"])
def add(app: str) -> ResponseReturnValue:
    """The form for a new connection; `next` is the page to go back to, which is told the `connection`'s number."""
    declared = _service(app)
    if request.method == "GET":
        return _form(declared, {}, {})
    values = entered(kit.fields(declared.credentials), request.form)
    try:
        with transaction(site().engine) as session:
            name = request.form.get("name", "")
            made = connections.add(session, site().vault, merchant_id(), app, name, values, site().now())
    except kit.FormError as error:
        return _form(declared, values, error.problems), 422
    _check(made)
    return redirect(_back_with(made) or url_for("connections.listing"))


@blueprint.route("/<int:connection_id>", methods=["GET", "POST"])
def change(connection_id: int) -> ResponseReturnValue:
    """The form to reconnect; a secret left blank stays as it is. `next` is the page to go back to."""
    connection = _find(connection_id)
    declared = _service(connection.app)
    if request.method == "GET":
        return _form(declared, connections.shown_values(site().vault, connection), {}, connection)
    values = entered(kit.fields(declared.credentials), request.form)
    try:
        with transaction(site().engine) as session:
            stored = connections.get(session, merchant_id(), connection_id)
            if stored is None:
                abort(404)
            connections.change(session, site().vault, stored, values, site().now())
    except kit.FormError as error:
        return _form(declared, values, error.problems, connection), 422
    _check(connection)
    site().wake()
    return redirect(_next() or url_for("connections.listing"))


@blueprint.post("/<int:connection_id>/check")
def check(connection_id: int) -> ResponseReturnValue:
    """Asks the service whether the connection works."""
    _check(_find(connection_id))
    site().wake()
    return redirect(url_for("connections.listing"))


@blueprint.post("/<int:connection_id>/remove")
def remove(connection_id: int) -> ResponseReturnValue:
    """Removes a connection that nothing needs."""
    connection = _find(connection_id)
    try:
        with transaction(site().engine) as session:
            connections.remove(session, merchant_id(), connection_id)
    except connections.ConnectionInUse as error:
        flash(str(error), "error")
    else:
        flash(f"{connection.name} is removed, with its credentials.", "success")
    return redirect(url_for("connections.listing"))


def _check(connection: Connection) -> None:
    here = site()
    try:
        account = connections.check(
            here.engine, here.vault, here.settings, merchant_id(), connection.id or 0, here.now()
        )
    except Unauthorized as error:
        flash(f"{connection.name} does not work. {error.sentence}", "error")
    except (Temporary, Unsure) as error:
        stays = " It stays paused until then." if _find(connection.id or 0).state == ConnectionState.PAUSED else ""
        said = f"{connection.name} could not be checked just now. {error.sentence} Try again in a while.{stays}"
        flash(said, "warning")
    except ActionError as error:
        flash(f"{connection.name} does not work yet. {error.sentence}", "warning")
    else:
        flash(f"{connection.name} works{f': {account}' if account else ''}.", "success")


def _find(connection_id: int) -> Connection:
    with reading(site().engine) as session:
        connection = connections.get(session, merchant_id(), connection_id)
    if connection is None:
        abort(404)
    return connection


def _service(app: str) -> kit.Integration:
    try:
        return integration(app)
    except KeyError:
        abort(404)


def _form(
    declared: kit.Integration,
    values: Mapping[str, Any],
    problems: Mapping[str, str],
    connection: Connection | None = None,
) -> str:
    fields = fields_of(
        kit.fields(declared.credentials), values, problems=problems, keeps_secrets=connection is not None
    )
    return render_template(
        "connections/form.html",
        service=declared,
        connection=connection,
        fields=fields,
        problems=problems,
        name=request.form.get("name") or _free_name(declared),
        next=_next(),
    )


def _free_name(declared: kit.Integration) -> str:
    """A name that no connection to the service has yet."""
    with reading(site().engine) as session:
        taken = {connection.name for connection in connections.of_app(session, merchant_id(), declared.name)}
    names = chain([declared.title], (f"{declared.title} {number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def _back_with(made: Connection) -> str:
    """The page to go back to, if there is one, told of the new connection."""
    parts = urlsplit(_next())
    query = urlencode([*parse_qsl(parts.query), ("connection", made.id)])
    return urlunsplit(parts._replace(query=query)) if parts.path else ""


def _next() -> str:
    """The page to go back to, if it is one of ours."""
    wanted = request.values.get("next", "")
    parts = urlsplit(wanted)
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc
    return wanted if is_ours and "\\" not in wanted else ""
