"""How long a cold start takes, to the first delivery that is accepted."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import deliveries
from benchmarks.client import send
from benchmarks.installation import install
from benchmarks.table import Row, median


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """Each round starts the service anew on the same data."""
    installation, took = install(folder / "starting", stores=1, recipes=False), []
    for _ in range(rounds):
        request = deliveries.requests([deliveries.body()], installation.endpoints)
        begun = time.monotonic()
        with installation.serving() as serving:
            if send(serving.port, request).accepted:
                took.append(time.monotonic() - begun)
    if len(took) != rounds:
        raise RuntimeError("a delivery was not accepted")
    yield Row("cold start to first accepted delivery", f"{median(took):.2f} s", aim="under 1.5 s")
