"""How soon the receiver answers while the engine works at full pace and someone pages through many events."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import deliveries
from benchmarks.client import send
from benchmarks.installation import EMAIL, PASSWORD, install, service_standing_in
from benchmarks.many import fill
from benchmarks.table import Row, milliseconds

_BACKLOG = 5_000
_MEASURED = 1_000
_RATE = 200


def measure(folder: Path, stored: int) -> Iterator[Row]:
    """All stored events are of the store whose pages are read."""
    installation = install(folder / "together")
    fill(installation, stored, stores=1)
    with service_standing_in(folder) as service, installation.serving(service.port) as serving:
        reader = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reader", str(serving.port), EMAIL, PASSWORD], stdout=subprocess.PIPE
        )
        try:
            time.sleep(2.0)  # until it reads
            send(
                serving.port,
                deliveries.requests([deliveries.body() for _ in range(_BACKLOG)], installation.endpoints),
            )
            begun, before = time.monotonic(), installation.count(_DONE)
            made = deliveries.requests([deliveries.body() for _ in range(_MEASURED)], installation.endpoints)
            answers = send(serving.port, made, rate=_RATE)
            pace = (installation.count(_DONE) - before) / (time.monotonic() - begun)
            reader.terminate()
            pages = reader.communicate(timeout=30)[0].decode().strip()
        finally:
            reader.kill()
            reader.wait()
        installation.wait_until_settled()
    if answers.accepted != _MEASURED or not pages:
        raise RuntimeError(f"answers: {dict(answers.statuses)}; pages read: {pages!r}")
    yield Row(
        f"answer at {_RATE} a second while the engine works and someone pages through {stored:,} events",
        milliseconds(answers.seconds),
        f"meanwhile {pace:,.0f} runs settled a second, {pages} pages read in all",
        aim="p99 under 60 ms",
    )


_DONE = "SELECT count(*) FROM run WHERE state = 'succeeded' AND finished_at > '2025-06-01'"
