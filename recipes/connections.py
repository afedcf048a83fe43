"""A merchant's connections to services: add, change, check, choose from, remove."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, func, update
from sqlmodel import Session, col, select

from integrations import integration, kit
from integrations.errors import Unauthorized
from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.db import Lock, one_at_a_time, reading, transaction
from recipes.definition import readable
from recipes.models import (
    DELAYED_STATES,
    OPEN_STATES,
    Connection,
    ConnectionState,
    Recipe,
    RecipeVersion,
    Run,
    among,
)
from recipes.refusal import Refusal
from recipes.settings import Settings
from recipes.vault import CannotOpen, Place, Vault

LONGEST_NAME = 80


class ConnectionInUse(Refusal):
    """A connection cannot be removed yet. The text is a sentence that says what needs it and what to do."""


# ── Finding ──────────────────────────────────────────────────────────────────────────────────────────────


def of_merchant(session: Session, merchant_id: int) -> list[Connection]:
    """A merchant's connections, by service and name."""
    found = select(Connection).where(Connection.merchant_id == merchant_id)
    return list(session.exec(found.order_by(col(Connection.app), col(Connection.name))))


def of_app(session: Session, merchant_id: int, app: str) -> list[Connection]:
    """A merchant's connections to one service, by name."""
    found = select(Connection).where(Connection.merchant_id == merchant_id, Connection.app == app)
    return list(session.exec(found.order_by(col(Connection.name))))


def get(session: Session, merchant_id: int, connection_id: int) -> Connection | None:
    """A merchant's connection; None if there is none of this number or it is another merchant's."""
    found = select(Connection).where(Connection.id == connection_id, Connection.merchant_id == merchant_id)
    return session.exec(found).first()


def needs_no_credentials(app: str) -> bool:
    """Whether a service is connected without anything to fill in. False for an unknown one."""
    try:
        return not kit.fields(integration(app).credentials)
    except KeyError:
        return False


# ── Making and changing ──────────────────────────────────────────────────────────────────────────────────


def add(
    session: Session, vault: Vault, merchant_id: int, app: str, name: str, values: Mapping[str, Any], now: datetime
) -> Connection:
    """A new connection with checked and sealed credentials; no call is made.

    Raises kit.FormError whose problems name the credentials' fields, or "name". Raises KeyError for an unknown app.
    """
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    declared = integration(app)
    problems: dict[str, str] = {}
    name = " ".join(name.split())
    if not name:
        problems["name"] = "The connection needs a name."
    elif len(name) > LONGEST_NAME:
        problems["name"] = f"The name can be at most {LONGEST_NAME} characters long."
    elif any(connection.name == name for connection in of_app(session, merchant_id, app)):
        problems["name"] = f"There is already a connection to {declared.title} called {name}."
    form = _checked(declared.credentials, values, problems)
    connection = Connection(merchant_id=merchant_id, app=app, name=name, created_at=now)
    session.add(connection)
    session.flush()
    _seal(vault, connection, form)
    session.flush()
    return connection


def change(session: Session, vault: Vault, connection: Connection, values: Mapping[str, Any], now: datetime) -> int:
    """Reconnects with new credentials; how many runs waited and now go on, in their order.

    A secret left blank stays as it was. Where nothing is new nothing is done: a pause is for a check to end. Raises
    kit.FormError.
    """
    declared = integration(connection.app)
    kept = _kept_secrets(vault, connection)
    given = {name: value for name, value in values.items() if not (name in kept and _is_blank(value))}
    form = kit.validate(declared.credentials, {**kept, **given})
    if _plain(form) == _opened(vault, connection):
        return 0
    _seal(vault, connection, form)
    connection.revision += 1
    connection.account = ""
    connection.checked_at = None
    session.add(connection)
    session.flush()
    return runs.release(session, _number(connection), now=now)


def shown_values(vault: Vault, connection: Connection) -> dict[str, Any]:
    """What the reconnect form is filled with: the values that are no secrets."""
    secrets = {spec.name for spec in kit.fields(integration(connection.app).credentials) if spec.is_secret}
    return {name: value for name, value in _opened(vault, connection).items() if name not in secrets}


def remove(session: Session, merchant_id: int, connection_id: int) -> bool:
    """Removes a connection and its credentials; False if there is none. Raises ConnectionInUse."""
    one_at_a_time(session, Lock.MERCHANT, {merchant_id})
    connection = get(session, merchant_id, connection_id)
    if connection is None:
        return False
    users = recipes_using(session, merchant_id, connection_id)
    if users:
        titles = ", ".join(f"“{recipe.title}”" for recipe in users)
        raise ConnectionInUse(f"{connection.name} is used by {titles}. Switch that off or choose another connection.")
    # In the words of each index.
    of_it = [
        select(func.count()).where(col(Run.connection_id) == connection_id, among(col(Run.state), states))
        for states in (OPEN_STATES, DELAYED_STATES)
    ]
    waiting = sum(session.exec(each).one() for each in of_it)
    if waiting:
        count = "1 run still needs" if waiting == 1 else f"{waiting} runs still need"
        raise ConnectionInUse(f"{count} {connection.name}. Cancel them or let them finish first.")
    session.delete(connection)
    session.flush()
    return True


def recipes_using(session: Session, merchant_id: int, connection_id: int) -> list[Recipe]:
    """The merchant's recipes that are on and use a connection."""
    in_use = (
        select(Recipe, RecipeVersion)
        .join(RecipeVersion, col(RecipeVersion.recipe_id) == col(Recipe.id))
        .where(Recipe.merchant_id == merchant_id, col(Recipe.enabled), RecipeVersion.version == Recipe.version)
        .order_by(col(Recipe.title))
    )
    return [
        recipe
        for recipe, version in session.exec(in_use)
        if (definition := readable(version.definition))
        and any(step.connection_id == connection_id for step in definition.steps)
    ]


# ── Using ────────────────────────────────────────────────────────────────────────────────────────────────


def connect(vault: Vault, settings: Settings, connection: Connection) -> Any:
    """A client for a connection; no call is made. Raises Unauthorized if its credentials cannot be used."""
    clients = ClientCache(vault, settings.api_base)
    return clients.get(connection.app, _number(connection), connection.revision, connection.credentials)


def check(
    engine: Engine, vault: Vault, settings: Settings, merchant_id: int, connection_id: int, now: datetime
) -> str | None:
    """Asks the service whether the connection works; what the service calls the account. None: no such connection.

    Raises ActionError with a sentence for the merchant. Credentials that are refused pause the connection, as they do
    in a run. A paused one that works again is active again, and its runs go on. No transaction is open during the call.
    """
    with reading(engine) as session:
        connection = get(session, merchant_id, connection_id)
    if connection is None:
        return None
    declared = integration(connection.app)
    try:
        account = declared.check(connect(vault, settings, connection))
    except Exception as error:  # noqa: BLE001 - the integration says what it means
        explained = declared.error(error)
        if isinstance(explained, Unauthorized):
            _pause(engine, connection, explained.sentence, now)
        # `from None`: clients' own exceptions hold addresses and tokens.
        raise explained from None
    with transaction(engine) as session:
        # Not if the connection was changed while the service was asked: then this tells of the old credentials.
        checked = session.execute(
            update(Connection)
            .where(col(Connection.id) == connection_id, col(Connection.revision) == connection.revision)
            .values(account=account, checked_at=now)
            .returning(col(Connection.state))
        ).scalar()
        if checked == ConnectionState.PAUSED:
            runs.release(session, connection_id, now=now)
    return account


def _pause(engine: Engine, checked: Connection, sentence: str, now: datetime) -> None:
    with transaction(engine) as session:
        connection = session.get(Connection, checked.id, with_for_update=True)
        # Not if it was changed while the service was asked: then other credentials were refused.
        if connection is None or connection.revision != checked.revision or connection.state == ConnectionState.PAUSED:
            return
        runs.hold(session, _number(connection), reason=runs.refused_reason(connection.app, sentence), now=now)


def choices(
    vault: Vault, settings: Settings, connection: Connection, spec: kit.FieldSpec, chosen: Mapping[str, str]
) -> list[kit.Option]:
    """What can be chosen for a field, fetched from the service where it is a live choice.

    chosen: the values of the form so far. Raises ActionError. Call it with no transaction open.
    """
    if spec.load is None:
        return list(spec.options)
    declared = integration(connection.app)
    try:
        return list(spec.load(connect(vault, settings, connection), chosen))
    except Exception as error:  # noqa: BLE001 - the integration says what it means
        raise declared.error(error) from None


# ── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────


def _checked(form: type[kit.Form], values: Mapping[str, Any], problems: dict[str, str]) -> kit.Form:
    """The checked form; its problems are told together with those found before."""
    try:
        checked = kit.validate(form, values)
    except kit.FormError as error:
        raise kit.FormError({**problems, **error.problems}) from None
    if problems:
        raise kit.FormError(problems)
    return checked


def _seal(vault: Vault, connection: Connection, form: kit.Form) -> None:
    connection.credentials = vault.seal(json.dumps(_plain(form)), _place(connection))


def _plain(form: kit.Form) -> dict[str, Any]:
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in form.model_dump().items()
    }


def _open(vault: Vault, connection: Connection) -> dict[str, Any]:
    opened: dict[str, Any] = json.loads(vault.open(connection.credentials, _place(connection)))
    return opened


def _opened(vault: Vault, connection: Connection) -> dict[str, Any]:
    """The stored values that the service's form still asks for; none if they cannot be opened any more."""
    asked = {spec.name for spec in kit.fields(integration(connection.app).credentials)}
    try:
        return {name: value for name, value in _open(vault, connection).items() if name in asked}
    except CannotOpen:
        return {}


def _kept_secrets(vault: Vault, connection: Connection) -> dict[str, Any]:
    shown = shown_values(vault, connection)
    return {name: value for name, value in _opened(vault, connection).items() if name not in shown}


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _place(connection: Connection) -> Place:
    return Place("connection", "credentials", str(_number(connection)))


def _number(connection: Connection) -> int:
    if connection.id is None:
        raise ValueError("the connection is not stored yet")
    return connection.id
