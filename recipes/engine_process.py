"""The engine's own process: one clock, stopped by a signal or with its parent.

On SQLite it is woken through a pipe and there is one; on PostgreSQL it is one worker of any number.
"""

import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from recipes.clients import ClientCache
from recipes.clocks.embedded import EmbeddedClock
from recipes.db import open_database
from recipes.mail import Mailer
from recipes.refusal import Refusal
from recipes.settings import Settings, load_settings
from recipes.sign_of_life import SignOfLife
from recipes.vault import Vault
from recipes.wake import WakePipe

logger = logging.getLogger(__name__)


class AlreadyRunning(Refusal):
    """Another engine works on this data directory."""


def run_engine(settings: Settings, parent: int) -> None:
    """Runs the engine until SIGTERM or SIGINT, or until the process `parent` that started it is gone.

    Raises AlreadyRunning: two engines on one SQLite file would take each other's runs for lost.
    """
    lock = lock_engine(settings.data_dir)
    pipe = WakePipe(settings.wake_pipe)
    database = open_database(settings.database)
    clock = _made(EmbeddedClock, database, settings)
    stopping = threading.Event()

    def listen() -> None:
        while not stopping.is_set():
            if pipe.wait(1.0):
                clock.wake()
            if os.getppid() != parent:
                logger.warning("the service that started this engine is gone: stopping")
                clock.stop()
                return

    listener = threading.Thread(target=listen, name="wake", daemon=True)
    listener.start()
    try:
        clock.wake()
        clock.run()
    finally:
        stopping.set()
        listener.join()
        pipe.close()
        database.dispose()
        os.close(lock)


def _made(kind: Callable[..., Any], database: Engine, settings: Settings, **given: Any) -> Any:
    """A clock of either kind, which SIGTERM and SIGINT stop."""
    clock = kind(
        database,
        settings,
        ClientCache(Vault.from_keys(settings.sealing_keys()), settings.api_base),
        Mailer(settings),
        alive=SignOfLife(settings.sign_of_life).give,
        works=SignOfLife(settings.sign_of_work).give,
        **given,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop())
    return clock


def lock_engine(data_dir: Path) -> int:
    """Keeps other engines from a data directory until what is returned, an open file, is closed.

    Raises AlreadyRunning.
    """
    path = data_dir / "engine.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Held by the open file: the system lets go of it however this process ends.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise AlreadyRunning(f"Another engine is at work in {path.parent}.") from None
    return handle


def run_worker(settings: Settings, parent: int | None = None, **given: Any) -> None:
    """Works on PostgreSQL until SIGTERM or SIGINT, or until the process `parent`, if any, is gone.

    given: what else the clock takes, such as its rhythm.
    """
    database = open_database(settings.database)
    # Only here: Procrastinate is not there where the extra is not installed.
    clock = _made(import_module("recipes.clocks.distributed").DistributedClock, database, settings, **given)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            if parent is not None and os.getppid() != parent:
                logger.warning("the service that started this worker is gone: stopping")
                clock.stop()
                return

    watcher = threading.Thread(target=watch, name="parent", daemon=True)
    watcher.start()
    try:
        clock.run()
    finally:
        done.set()
        watcher.join()
        database.dispose()


def work_for(parent: int) -> None:
    """What the engine's process does: on either database, for the process `parent`, with the environment's settings."""
    try:
        settings = load_settings()
        (run_worker if settings.is_postgresql else run_engine)(settings, parent)
    except Refusal as error:
        logger.error("the engine cannot start: %s", error)
        sys.exit(1)
