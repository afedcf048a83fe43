"""The service's lasting process: the web side under Granian and the engine beside it, both kept alive.

`pocketwire serve` is this process once all is set up. Both sides are forked from it, and share the memory of what was
imported by then; so it opens nothing that they would share as well, neither a database nor a thread but its own.
"""

import fcntl
import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

# Granian's allocator reads this as it is loaded. Each of its threads would keep what came with earlier requests, some
# 0.1 MB: https://jemalloc.net/jemalloc.3.html#opt.tcache, https://github.com/tikv/jemallocator (the variable's name).
os.environ.setdefault("_RJEM_MALLOC_CONF", "tcache:false")

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from recipes.addresses import bind_text
from recipes.forking import Forked
from recipes.refusal import Refusal
from recipes.sign_of_life import Silence

logger = logging.getLogger(__name__)

# A body that comes slowly holds one of Granian's threads, and an unused one costs nothing: it is only made when needed.
BLOCKING_THREADS = 512
# An open connection holds a file, not a thread.
MOST_CONNECTIONS = 4_096
SPARE_FILES = 512
# For a request's head; Granian closes idle connections after the same time. Longer than the usual proxies keep them
# (60 s): one that sends a delivery into a connection we are just closing would not send it again.
HEAD_MILLISECONDS = 75_000
STOP_SECONDS = 45.0
RESTART_SECONDS = 1.0
# Generous: to end an engine interrupts its calls, and a disk may not answer for a while.
SILENT_SECONDS = 60.0
START_SECONDS = 120.0
GRACE_SECONDS = 10.0
# By name: nothing below `web` imports it, and this module neither of the two.
APPLICATION = "web.wsgi:application"
ENGINE = "recipes.engine_process:work_for"


class EngineKeeper:
    """Starts the engine's process, and starts it again whenever it ends before it is told to, or hangs.

    sign: the file that the engine touches while it is alive. silent_seconds: for how long it may leave that.
    grace_seconds: how long a hung one has after SIGTERM, before SIGKILL.
    """

    def __init__(
        self, sign: Path, *, silent_seconds: float = SILENT_SECONDS, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._sign = sign
        self._silent_seconds = silent_seconds
        self._grace_seconds = grace_seconds
        self._stopping = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._watch, name="engine-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the engine: what is under way is finished first."""
        self._stopping.set()
        # Only then is it certain which process is the last one.
        self._thread.join()
        self._process.send(signal.SIGTERM)
        if self._process.wait(STOP_SECONDS) is None:
            logger.warning("the engine did not end in %.0f s: ended by force", STOP_SECONDS)
            self._process.send(signal.SIGKILL)
            self._process.wait()

    def _start(self) -> Forked:
        self._silence = Silence(self._sign, at_start=START_SECONDS, later=self._silent_seconds)
        keeper = os.getpid()
        # In a group of its own: Ctrl-C is for this process, which stops the engine when the web side has ended.
        return Forked("engine", lambda: resolve_name(ENGINE)(keeper))

    def _watch(self) -> None:
        while not self._stopping.is_set():
            code = self._process.wait(0.5)
            if code is None:
                if self._silence.is_too_long(time.monotonic()):
                    self._end_hung()
                continue
            if not self._stopping.wait(RESTART_SECONDS):
                logger.error("the engine has ended (exit code %d): starting it again", code)
                try:
                    self._process = self._start()
                except OSError as error:
                    logger.error("the engine cannot be started (%s): trying again", error.strerror)

    def _end_hung(self) -> None:
        logger.error("the engine gives no sign of life any more: ending it")
        self._process.send(signal.SIGTERM)
        if self._process.wait(self._grace_seconds) is None:
            self._process.send(signal.SIGKILL)
        # Should even that take long (a disk that does not answer), it is not said twice a second.
        self._silence = Silence(self._sign, at_start=START_SECONDS, later=self._silent_seconds)


class CannotServe(Refusal):
    """The service cannot start here."""


def serve(host: str, port: int, sign: Path | None) -> None:
    """Serves on an IP address and a port until SIGTERM or SIGINT. What is in flight is finished; nothing is lost.

    sign: the file that the engine touches while it is alive; without it there is no engine.
    """
    # Granian's worker is to be forked as well, which is not everywhere what Python does by itself.
    multiprocessing.set_start_method("fork", force=True)
    # What is there now stays shared: the collector does not touch it in each process.
    gc.collect()
    gc.freeze()
    stopping = threading.Event()
    engine = EngineKeeper(sign) if sign else None
    try:
        while _serve_web(host, port, engine.stop if engine else lambda: None):
            # Between two tries nobody else would hear a signal: the server's own handlers are of no use any more.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            if stopping.wait(RESTART_SECONDS):
                break
    finally:
        if engine:
            engine.stop()


@contextmanager
def place_held(data_dir: Path, host: str, port: int) -> Iterator[None]:
    """Holds the data directory for this process and the web side.

    Raises CannotServe if another has it, or the address is taken.
    """
    with folder_held(data_dir):
        _check_address(host, port)
        yield


@contextmanager
def folder_held(data_dir: Path) -> Iterator[None]:
    """Holds the data directory alone. Raises CannotServe if another has it."""
    with (data_dir / "service.lock").open("a") as lock:
        try:
            # The system lets go of it however this process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(f"Pocketwire is running already: another one works in {data_dir.resolve()}.") from None
        yield


def _check_address(host: str, port: int) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise CannotServe(
            f"{bind_text(host, port)} cannot be listened on ({error.strerror}). Set POCKETWIRE_BIND to another address."
        ) from None


def allow_connections() -> int:
    """How many connections may be open at once; allows this process and its children the files that they take."""
    # Many systems begin with 1,024 files, fewer than connections may take; then not even the spool could be opened.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_FILES
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(MOST_CONNECTIONS, max(soft - SPARE_FILES, soft // 2))


class _WebServer(Server):  # type: ignore[misc, valid-type]
    """Granian, which takes deliveries until all else has ended: Pocketsflow does not send them again."""

    def __init__(self, application: str, *, end_first: Callable[[], None], **options: Any) -> None:
        super().__init__(application, **options)
        self._end_first = end_first
        self._ending: threading.Thread | None = None

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:
        """The first signal lets the engine finish its calls, for half a minute perhaps; a second one ends at once."""
        if self._ending is not None:
            super().signal_handler_interrupt()
            return
        self._ending = threading.Thread(target=self._end, name="ending", daemon=True)
        self._ending.start()

    def _end(self) -> None:
        self._end_first()
        super().signal_handler_interrupt()


def _serve_web(host: str, port: int, end_first: Callable[[], None]) -> bool:
    """Serves the web side; whether it ended for another reason than a signal. end_first: what ends before it."""
    server = _WebServer(
        APPLICATION,
        end_first=end_first,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=BLOCKING_THREADS,
        # Where HTTP/2 is taken too, Granian waits without end for a first byte that tells which it is.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_MILLISECONDS),
        backpressure=allow_connections(),
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=int(STOP_SECONDS),
    )
    try:
        server.serve(target_loader=_application, wrap_loader=False)
    except SystemExit:
        logger.error("the web side ended by itself: starting it again")
        return not server.interrupt_signal
    return False


def _application() -> Any:
    """The web side, made in the server's worker: its own loader would look in the working directory first."""
    return resolve_name(APPLICATION)()
