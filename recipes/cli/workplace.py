"""What every command works with: settings, database, vault, time; and how a command refuses."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import click
from sqlalchemy import Engine
from sqlmodel import Session

from recipes.accounts import merchant_named
from recipes.db import open_database, reading
from recipes.endpoints import check_secrets_open
from recipes.migrations import Schema, migrate, schema_of
from recipes.models import Mode
from recipes.moved import check_in_use, refuse_writes_once_moved
from recipes.settings import Settings, load_settings
from recipes.vault import Vault

F = TypeVar("F", bound=Callable[..., Any])


class Refused(click.ClickException):
    """What was asked cannot be done. Shown as one sentence; the command ends with 2."""

    exit_code = 2


class Failed(click.ClickException):
    """It was asked rightly, and did not work out. Shown as one sentence; the command ends with 1."""

    exit_code = 1


@dataclass
class Workplace:
    """Opened by the command that needs it, so that `--help` works anywhere."""

    load: Callable[[], Settings] = load_settings
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises SettingError."""
        return self.load()

    @cached_property
    def vault(self) -> Vault:
        """The vault of the settings' keys."""
        return Vault.from_keys(self.settings.sealing_keys())

    @cached_property
    def engine(self) -> Engine:
        """The database, with its tables; made if it is empty."""
        engine = open_database(self.settings.database)
        try:
            check_in_use(engine)
            refuse_writes_once_moved(engine)
            schema = schema_of(engine)
            if schema is Schema.EMPTY:
                migrate(engine)
            elif schema is Schema.OTHER:
                raise Refused("The database is of another version: run pocketwire migrate.")
        except BaseException:
            engine.dispose()
            raise
        return engine

    def bring_up(self) -> None:
        """Brings keys and database up for a service that is about to start. Raises Refusal."""
        self.settings.signing_key()
        database = open_database(self.settings.database)
        try:
            check_in_use(database)
            migrate(database)
            with reading(database) as session:
                check_secrets_open(session, self.vault)
        finally:
            database.dispose()

    def close(self) -> None:
        """Closes the connections to the database, if it was opened."""
        if "engine" in vars(self):
            self.engine.dispose()

    def merchant_id(self, name: str | None, session: Session | None = None) -> int:
        """The store that a command is about. Raises AccountError."""
        if session is None:
            with reading(self.engine) as session:
                return self.merchant_id(name, session)
        number = merchant_named(session, name).id
        if number is None:
            raise ValueError("a store that was found has a number")
        return number


def for_merchant(command: F) -> F:
    """Adds --merchant to a command."""
    return click.option("--merchant", metavar="NAME", help="The store; needed only where there is more than one.")(
        command
    )


def for_side(command: F) -> F:
    """Adds --mode to a command."""
    return click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode]),
        default=Mode.LIVE.value,
        show_default=True,
        help="The store's live or test side.",
    )(command)


def as_json(command: F) -> F:
    """Adds --json to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def read_secret(prompt: str, from_stdin: bool) -> str:
    """A secret from standard input, or typed unseen. Never taken as an argument: those are seen by others."""
    stream = sys.stdin
    if from_stdin or not stream.isatty():
        return stream.read().strip("\r\n")
    typed: str = click.prompt(prompt, hide_input=True)
    return typed
