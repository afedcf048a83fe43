"""The process that forks victims, seen from the one that kills them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recipes.chaos.place import Place


class VictimFailed(Exception):
    """A process ended by itself, or otherwise than it was told to. Its output is in the folder's `log`."""


class Nursery:
    """The process that forks victims (see `victims`)."""

    def __init__(self, place: Place) -> None:
        # None of the operator's settings: they name databases and services that are not to be touched.
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("POCKETWIRE_", "DATABASE_URL"))}
        with (Path(place.folder) / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "recipes.chaos.victims"],
                cwd=place.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=kept,
                text=True,
            )

        # Not as an argument: anybody on the machine can read those.
        self._write(place.text())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def fork(self, role: str, **wish: Any) -> int:
        """A new victim's number."""
        return self._ask({"do": role, **wish})

    def end(self, pid: int, how: signal.Signals) -> None:
        """Ends a victim and waits for it. Raises VictimFailed if it ended differently."""
        os.kill(pid, how)
        code = self._ask({"do": "reap", "pid": pid})
        # SIGTERM may come before a victim listens for it.
        if code not in (-how, 0 if how == signal.SIGTERM else -how):
            raise VictimFailed(f"a process ended by itself with exit code {code}")

    def _ask(self, wish: Mapping[str, Any]) -> int:
        self._write(json.dumps(wish))
        answer = self._process.stdout.readline() if self._process.stdout else ""
        if not answer:
            raise VictimFailed("the process that starts the others has ended")
        return int(answer)

    def _write(self, line: str) -> None:
        if self._process.stdin is None:
            raise ValueError("the nursery has pipes")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
