"""A process that is forked from this one: it has all that was imported before, and shares the memory of it."""

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_ENDING = (signal.SIGTERM, signal.SIGINT)
_MANY_FILES = 65_536
_COMMAND_NAME = Path("/proc/self/comm")
_OPEN_FILES = Path("/proc/self/fd")


class Forked:
    """Runs a function in a process of its own, in a group of its own, and waits for its end.

    name: what `ps` calls the process, on Linux. run: what it does; it ends with 0 when that returns, and with 1 if
    anything is raised. Of the files that are open here it keeps only standard input, output and error.

    Raises OSError if the system allows no more processes.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        # What ends the new process before it has handlers of its own must not be heard by those of this one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _live(name, run)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._code = 0
        self._ended = threading.Event()
        threading.Thread(target=self._reap, name=f"{name}-end", daemon=True).start()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, or minus the signal that ended it; None if it has not ended in so many seconds."""
        return self._code if self._ended.wait(seconds) else None

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _reap(self) -> None:
        self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()


def _live(name: str, run: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        os.setpgid(0, 0)
        with suppress(OSError):
            _COMMAND_NAME.write_text(name)
        _close_files()
        run()
        code = 0
    except SystemExit:
        pass  # whoever ends it so has said why
    except BaseException:  # noqa: BLE001 - nothing may go on from here into what the other process is about
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stderr.flush()
        finally:
            # Whatever the flush met: there may be no standard error, or it is closed, or its disk is full.
            os._exit(code)


def _close_files() -> None:
    """Closes all but standard input, output and error: a lock or a port would stay taken while this process lives."""
    try:
        numbers = [int(each.name) for each in _OPEN_FILES.iterdir()]
    except OSError:
        # Not on this system. One by one, up to a limit that may be a billion, would take minutes.
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.closerange(3, _MANY_FILES if most == resource.RLIM_INFINITY else min(most, _MANY_FILES))
        return
    for number in numbers:
        if number > 2:
            with suppress(OSError):
                os.close(number)


def open_standard_files() -> None:
    """Opens /dev/null as standard input, output and error where they are closed, as after `2>&-`.

    The next file that is opened would take the place: a lock that every child keeps, or a database that somebody's
    messages go into.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        os.set_inheritable(number, True)
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
