"""What commands are given: fields as field=value, connections and recipes by name."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlmodel import Session

from integrations import integration, kit
from integrations.errors import ActionError
from recipes import connections, cookbook
from recipes.cli.workplace import Refused
from recipes.models import Connection, Recipe

F = TypeVar("F", bound=Callable[..., Any])

LARGEST_FILE = 1024 * 1024


class ServiceGroup(click.Group):
    """Commands about services: what a form or a service refuses is one sentence too."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (ActionError, kit.FormError) as error:
            raise Refused(str(error)) from None


def with_values(command: F) -> F:
    """Adds --set and --set-file to a command."""
    from_file = click.option(
        "--set-file",
        "files",
        multiple=True,
        metavar="FIELD=PATH",
        help="A field's value from a file; - is standard input. For secrets: arguments are seen by others.",
    )
    given = click.option("--set", "values", multiple=True, metavar="FIELD=VALUE", help="A field's value.")
    return given(from_file(command))


def read_values(values: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """The fields and values of --set and --set-file, the later one of a field counting. Raises Refused."""
    found = dict(_parted(value, "--set") for value in values)
    for field, path in (_parted(file, "--set-file") for file in files):
        found[field] = read_file(path)
    return found


def read_credentials(app: str, values: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """As read_values, for a service's credentials: its secrets are refused as arguments. Raises Refused."""
    secrets = {spec.name for spec in kit.fields(integration(app).credentials) if spec.is_secret}
    for field, _ in (_parted(value, "--set") for value in values):
        if field in secrets:
            raise Refused(
                f"{field} is a secret: give it with --set-file {field}=FILE, or {field}=- for standard input. "
                "Arguments are seen by others."
            )
    return read_values(values, files)


def read_file(path: str) -> str:
    """A file's text; - is standard input. Raises Refused."""
    try:
        if path == "-":
            return sys.stdin.read()
        if Path(path).stat().st_size > LARGEST_FILE:
            raise Refused(f"{path} is too large.")
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Refused(f"{path} is not text in UTF-8.") from None


def _parted(given: str, option: str) -> tuple[str, str]:
    field, is_there, value = given.partition("=")
    if not is_there or not field.strip():
        # What was given is not repeated: it may be a secret.
        raise Refused(f"{option} has to be given as field=value.")
    return field.strip(), value


def find_connection(session: Session, merchant_id: int, name: str) -> Connection:
    """A connection by its number, its name, its service if there is only one, or service/name. Raises Refused."""
    there = connections.of_merchant(session, merchant_id)
    app, _, rest = name.partition("/")
    tests: Sequence[Callable[[Connection], bool]] = (
        lambda each: str(each.id) == name,
        lambda each: each.name == name,
        lambda each: each.app == app and each.name == rest,
        lambda each: each.app == name,
    )
    for test in tests:
        found = [each for each in there if test(each)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"{each.app}/{each.name}" for each in found)
            raise Refused(f"{name} could be several connections: {listed}.")
    listed = ", ".join(f"{each.app}/{each.name}" for each in there) or "none yet"
    raise Refused(f"There is no connection called {name}. (There are: {listed})")


def find_recipe(session: Session, merchant_id: int, name: str) -> Recipe:
    """A recipe that is set up, by its name. Raises Refused."""
    found = cookbook.find_recipe(session, merchant_id, name)
    if found is None:
        raise Refused(f"No recipe called {name} is set up: see pocketwire recipe list.")
    return found
