"""Processes of our own on loopback: started, waited for, measured, ended by their id."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 30.0
_MEGABYTE = 1024.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(*words: str, port: int | None, folder: Path, **environment: str) -> Iterator[int]:
    """`python -m …` in a folder while the block runs, once it listens on the port, if any; its process's id."""
    log = folder / f"{words[0]}.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("POCKETWIRE_", "DATABASE_URL"))}
    with log.open("ab") as output:
        process = subprocess.Popen(
            # Like the installed command, which does not look for its modules where it is started.
            [sys.executable, "-P", "-m", *words],
            cwd=folder,
            env=kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if port is not None:
            until(lambda: _listens(port, process, log), f"{' '.join(words)} listens")
        yield process.pid
        process.terminate()
        process.wait(_PATIENCE)
    finally:
        for number in (process.pid, *_children(process.pid)) if process.poll() is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()


def until(look: Callable[[], object], what: str, seconds: float = _PATIENCE, every: float = 0.01) -> None:
    """Waits until `look` finds something, asking `every` so many seconds. Raises TimeoutError with `what`."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


def _listens(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"it ended by itself: {log.read_text()}")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def memory(process: int) -> Mapping[str, tuple[float, float]]:
    """Resident megabytes of a process and of those that it started, by what they are: (proportional, all of it)."""
    found: dict[str, tuple[float, float]] = {}
    for number in (process, *_children(process)):
        command = Path(f"/proc/{number}/comm").read_text().strip()
        name = "supervisor" if number == process else "engine" if command == "engine" else "web"
        told = Path(f"/proc/{number}/smaps_rollup").read_text()
        pss, rss = (int(re.search(rf"^{each}:\s+(\d+)", told, re.MULTILINE)[1]) for each in ("Pss", "Rss"))  # type: ignore[index]
        before = found.get(name, (0.0, 0.0))
        found[name] = (before[0] + pss / _MEGABYTE, before[1] + rss / _MEGABYTE)
    return found


def processor_time(process: int) -> float:
    """Seconds of processor time that a process and those that it started have had."""
    ticks = 0
    for number in (process, *_children(process)):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            # Its own in user and in system mode, then that of children which have ended.
            ticks += sum(int(each) for each in words[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(process: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if re.search(rf"^PPid:\s+{process}$", (path / "status").read_text(), re.MULTILINE):
                found.append(int(path.name))
    return found + [further for child in found for further in _children(child)]
