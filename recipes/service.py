"""`pocketwire serve`: the web side under Granian and the engine beside it, both kept alive."""

import logging
import os
import subprocess
import sys
import threading
import time

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from recipes.settings import Settings

logger = logging.getLogger(__name__)

BLOCKING_THREADS = 64
STOP_SECONDS = 45.0
RESTART_SECONDS = 1.0
# By name: nothing below `web` imports it.
APPLICATION = "web.wsgi:application"


class EngineKeeper:
    """Starts the engine's process, and starts it again whenever it ends before it is told to."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._watch, name="engine-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the engine: what is under way is finished first."""
        self._stopping.set()
        # Only then is it certain which process is the last one.
        self._thread.join()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("the engine did not end in %.0f s: ended by force", STOP_SECONDS)
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "recipes.cli", "engine", "--parent", str(os.getpid())])

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                code = self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
            if not self._stopping.wait(RESTART_SECONDS):
                logger.error("the engine ended by itself (exit code %d): starting it again", code)
                self._process = self._start()


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. What is in flight is finished; nothing is lost."""
    host, _, port = settings.bind.rpartition(":")
    engine = EngineKeeper()
    try:
        while _serve_web(host.strip("[]"), int(port)):
            time.sleep(RESTART_SECONDS)
    finally:
        engine.stop()


def _serve_web(host: str, port: int) -> bool:
    """Serves the web side; whether it ended for another reason than a signal."""
    server = Server(
        APPLICATION,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=BLOCKING_THREADS,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=int(STOP_SECONDS),
    )
    try:
        server.serve()
    except SystemExit:
        logger.error("the web side ended by itself: starting it again")
        return not server.interrupt_signal
    return False
