"""The real service in processes of its own, on a free port of 127.0.0.1, with a data directory of the test's."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner

from recipes.cli import main

T = TypeVar("T")

PATIENCE = 60.0
_POLL = 0.02


def eventually(look: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """What `look` finds once it finds something; fails with `what` if it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        pause.wait(_POLL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children_of(parent: int) -> dict[str, int]:
    """The ids of a process's children, by what they are: "engine" and "web"."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            its_parent = re.search(r"^PPid:\s+(\d+)", (path / "status").read_text(), re.MULTILINE)
            name = (path / "comm").read_text().strip()
        except OSError:
            continue
        if its_parent and int(its_parent[1]) == parent:
            found["engine" if name == "engine" else "web"] = int(path.name)
    return found


class Service:
    """`pocketwire serve`, and the command line beside it."""

    def __init__(
        self,
        folder: Path,
        api_base: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = ("recipes.cli", "serve"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
        self.environment = {
            **kept,
            "POCKETWIRE_DATA_DIR": str(folder / "data"),
            "POCKETWIRE_BIND": f"127.0.0.1:{self.port}",
            **{f"POCKETWIRE_API_BASE__{app.upper()}": base for app, base in (api_base or {}).items()},
            **(environment or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self._listener: threading.Thread | None = None

    def start(self) -> None:
        """Starts, and waits until it takes connections."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Waits until it takes connections."""
        eventually(self._takes_connections, f"a service on {self.url}")

    def launch(self) -> None:
        """Starts it in its folder."""
        self.process = subprocess.Popen(
            # Like the installed command, which does not look for its modules where it is started.
            [sys.executable, "-P", "-m", *self._command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()

    def stop(self) -> int:
        """SIGTERM; the exit code. It can be started again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self._stop_listening()
        return code

    def end(self) -> None:
        """Makes sure that none of its processes is left."""
        if self.process is not None:
            for pid in (self.process.pid, *self.children().values()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
            self._stop_listening()

    def children(self) -> dict[str, int]:
        """The processes it keeps, by what they are: "engine" and "web"."""
        assert self.process is not None
        return children_of(self.process.pid)

    def cli(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """What a command prints. It runs in this process, which has all imported already, beside the service's."""
        done = CliRunner(env=self.environment).invoke(main, words, input=stdin)
        assert done.exit_code == code, f"{words}: {done.output}"
        return done.stdout

    def refused(self, *words: str) -> str:
        """The one sentence with which a command is refused."""
        done = CliRunner(env=self.environment).invoke(main, words)
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    def json(self, *words: str) -> Any:
        """What a command answers with --json."""
        return json.loads(self.cli(*words, "--json"))

    def settled(self, count: int) -> list[str]:
        """The states of the runs, once there are so many and all have ended."""

        def look() -> list[str] | None:
            with contextlib.closing(sqlite3.connect(self.folder / "data" / "pocketwire.db")) as database:
                states = [row[0] for row in database.execute("SELECT state FROM run ORDER BY id")]
            ended = [state for state in states if state not in ("queued", "running", "waiting")]
            return ended if len(ended) >= count else None

        return eventually(look, f"{count} runs ended")

    def printed(self, pattern: str) -> re.Match[str]:
        """The first line printed that matches."""
        return eventually(
            lambda: next((found for line in self.lines if (found := re.search(pattern, line))), None), pattern
        )

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)

    def _stop_listening(self) -> None:
        if self._listener:
            self._listener.join(PATIENCE)
            assert not self._listener.is_alive(), "a process of the service is left, and may print yet"
        if self.process and self.process.stdout:
            self.process.stdout.close()

    def _takes_connections(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "".join(self.lines)
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
