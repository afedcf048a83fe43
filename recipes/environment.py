"""What stands in the environment and in a `.env` file under our names: a misspelt one must not be passed over."""

import difflib
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

from dotenv.parser import parse_stream

from recipes.refusal import Refusal

PREFIX = "POCKETWIRE_"
API_BASE = f"{PREFIX}API_BASE__"
# What stands in README for the name of any service.
ANY_SERVICE = "__<SERVICE>"
# UTF-8, with or without the mark that some editors put before it.
ENCODING = "utf-8-sig"
# Kubernetes tells every pod of each service beside it, under the service's name: one called "pocketwire" has ours.
_OF_KUBERNETES = re.compile(
    rf"{PREFIX}(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|PORT=(tcp|udp|sctp)://)"
)


class SettingError(Refusal):
    """A setting is wrong. The text is one sentence that names it and says what it should be, never what it was."""


def check_environment(environment: Mapping[str, str], known: Iterable[str]) -> None:
    """Raises SettingError for a variable with our prefix that is not a known setting."""
    for name, value in environment.items():
        if not _OF_KUBERNETES.match(f"{name}={value}"):
            _check_name(name.upper(), known, "")


def check_file(path: Path, known: Iterable[str]) -> None:
    """Raises SettingError if a file of NAME=value lines cannot be read or has our prefix before an unknown name.

    A file that is not there is as good as an empty one.
    """
    place = path.absolute()
    try:
        with path.open(encoding=ENCODING) as file:
            lines = [line for line in parse_stream(file) if line.key or line.error]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingError(
            f"{place} cannot be read ({reason}): it has to be a text file of NAME=value lines."
        ) from None
    for line in lines:
        if line.error or line.key is None or line.value is None:
            raise SettingError(f"Line {line.original.line} of {place} has to be NAME=value.")
        _check_name(line.key.upper(), known, f" in {place}")


def _check_name(name: str, known: Iterable[str], where: str) -> None:
    if not name.startswith(PREFIX):
        return
    if name.startswith(API_BASE):
        # Imported only where it is needed: the services' clients would keep the receiver from starting at once.
        # One without credentials, as the Ledger, calls nothing.
        declared = import_module("integrations").INTEGRATIONS
        known = [API_BASE + each.name.upper() for each in declared if each.credentials.model_fields]
    if name in known:
        return
    # What all begin with, or end with in README, makes nothing alike.
    beginning = API_BASE if name.startswith(API_BASE) else PREFIX
    bare = {each.removeprefix(beginning).removesuffix(ANY_SERVICE): each for each in known}
    near = difflib.get_close_matches(name.removeprefix(beginning), bare, n=1)
    hint = f"did you mean {bare[near[0]]}?" if near else f"there are {', '.join(known)}."
    raise SettingError(f"There is no setting {name}{where}: {hint}")
