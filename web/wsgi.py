"""What Granian serves: the receiver in front of the pages.

The receiver is ready first: Pocketsflow does not wait for a page. The Flask app is made beside it, and a request for a
page waits until it is there.
"""

import atexit
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from sqlalchemy import Engine

from recipes.db import open_database
from recipes.endpoint_cache import EndpointCache
from recipes.inbox import Inbox
from recipes.service import BLOCKING_THREADS, allow_connections
from recipes.settings import Settings, load_settings
from recipes.spool import Spool
from recipes.vault import Vault
from recipes.wake import Waker
from web.receiver import Receiver, WSGIApp
from web.stalled import StalledConnections

logger = logging.getLogger(__name__)

# A locked file is waited for this long before the spool takes the delivery: Pocketsflow waits five seconds.
LOCK_SECONDS = 0.5
LONGEST_START = 30.0
SPOOL_SECONDS = 5.0
# Of the server's threads. Slow browsers and services may take these; the others are always there for deliveries.
MOST_PAGES = 40
_BUSY = b"Too many pages are being asked for. Try again in a moment.\n"


class Pages:
    """The Flask app, made in a thread of its own."""

    def __init__(self) -> None:
        self._app: Future[WSGIApp] = Future()
        self._free = threading.Semaphore(MOST_PAGES)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a page's request; the first ones wait for the app, and one too many is sent away."""
        if not self._free.acquire(blocking=False):
            start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "2")])
            return [_BUSY]
        try:
            return self._app.result(LONGEST_START)(environ, start_response)
        finally:
            self._free.release()

    def make(self, settings: Settings, engine: Engine, vault: Vault, receiver: Receiver) -> None:
        """Makes the app. What goes wrong is logged, and raised for every request."""
        try:
            # Imported here, in this thread: Flask and the pages take longer to import than the receiver to start.
            app = import_module("web.app").create_app(settings, engine=engine, vault=vault)
            sender = import_module("web.samples").sample_sender
            app.extensions["pocketwire"].send_sample = sender(engine, vault, receiver, lambda: datetime.now(UTC))
        except Exception as error:
            logger.exception("the pages cannot be served")
            self._app.set_exception(error)
        else:
            self.serve(app)

    def serve(self, app: WSGIApp) -> None:
        """From now on requests go to this app."""
        self._app.set_result(app)


def make_application(settings: Settings) -> Receiver:
    """The WSGI callable for these settings."""
    vault = Vault.from_keys(settings.sealing_keys())
    # The receiver's own: pages that hold on to their connections do not keep a delivery waiting for one.
    impatient = open_database(settings.database, wait_seconds=LOCK_SECONDS)
    endpoints = EndpointCache(impatient, vault)
    endpoints.load_all()
    inbox = Inbox(impatient, Spool(settings.spool), Waker(settings.wake_pipe))
    engine = open_database(settings.database)
    # What is registered last runs first: the inbox writes what it has, then its connections are closed.
    for close in (engine.dispose, impatient.dispose, inbox.close):
        atexit.register(close)
    if settings.is_postgresql:
        threading.Thread(target=_bring_in_spooled, args=(engine, settings), name="spool", daemon=True).start()
    pages = Pages()
    receiver = Receiver(pages, endpoints, inbox)
    threading.Thread(target=pages.make, args=(settings, engine, vault, receiver), name="pages", daemon=True).start()
    return receiver


def _bring_in_spooled(engine: Engine, settings: Settings) -> None:
    # On SQLite the engine does it. Here it may be on another machine, and this one's spool is only here.
    spool = Spool(settings.spool)
    # Imported here, in this thread: it brings the services' clients with it, and the receiver does not wait for them.
    empty_spool = import_module("recipes.upkeep").empty_spool
    while True:
        try:
            empty_spool(engine, spool)
        except Exception:
            # Whatever one file holds, later ones still have to come in.
            logger.exception("the spool could not be brought in; it is tried again")
        time.sleep(SPOOL_SECONDS)


def application() -> Receiver:
    """The WSGI callable for the environment's settings: what Granian calls once in its worker."""
    listen_to_parent_alone()
    settings = load_settings()
    _, port = settings.listens_on
    watch = StalledConnections(port, stalled_at_most=BLOCKING_THREADS // 2, open_at_most=allow_connections() * 3 // 4)
    watch.keep_looking()
    return make_application(settings)


def listen_to_parent_alone() -> None:
    """In a process that was forked: hears its parent's signals and none of a terminal's, and ends after its parent."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    # Until the server has its own, the handlers are the supervisor's, and end what only the supervisor has. Nothing has
    # been accepted yet.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C goes to a terminal's whole group, and the supervisor then stops us: two signals at once can lock up the
    # worker, whose handler takes the lock that its main thread waits with.
    os.setpgid(0, 0)

    # A killed supervisor must not leave a web side behind that nobody stops. It may be gone already.
    def watch() -> None:
        while os.getppid() == parent.pid:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
