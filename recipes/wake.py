"""A named pipe by which the receiver's process tells the engine's that there is something to do.

A byte means "look". A lost one costs a second: the engine looks by itself that often.
"""

import contextlib
import os
import select
from pathlib import Path


class WakePipe:
    """The engine's end: reads. Made in the data directory, for this user only."""

    def __init__(self, path: Path) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Opened for both ways, so that it neither blocks without a writer nor ends with the last one.
        self._handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, seconds: float) -> bool:
        """Waits for a byte and takes all there are; whether one came."""
        ready, _, _ = select.select([self._handle], [], [], seconds)
        if ready:
            os.read(self._handle, 65_536)
        return bool(ready)

    def close(self) -> None:
        """Lets go of the pipe."""
        os.close(self._handle)


class Waker:
    """The receiver's end: writes. Without an engine it does nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __call__(self) -> None:
        try:
            if self._handle is None:
                self._handle = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            os.write(self._handle, b"\n")
        except BlockingIOError:
            return  # full: the engine has more than enough reason to look
        except OSError:
            self._let_go()

    def _let_go(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
