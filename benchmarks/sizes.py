"""Memory of the whole service, idle and after many events; bytes on disk for each."""

import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import deliveries
from benchmarks.client import send
from benchmarks.installation import Installation, install, service_standing_in
from benchmarks.processes import memory
from benchmarks.table import Row

_PART = 10_000
_SETTLED = 3.0  # until an idle service has loaded all that it loads by itself


def measure(folder: Path, count: int) -> Iterator[Row]:
    """Sends so many events through, all of which are performed."""
    installation = install(folder / "sizes")
    with service_standing_in(folder) as service, installation.serving(service.port) as serving:
        time.sleep(_SETTLED)
        idle = memory(serving.process)
        yield Row("resident memory of the whole service, idle", _told(idle), _parts(idle), aim="under 150 MB")
        with urllib.request.urlopen(f"http://127.0.0.1:{serving.port}/sign-in", timeout=30):
            yield Row("the same once a page was opened", _told(memory(serving.process)))
        empty = _bytes(installation)
        warm: Mapping[str, tuple[float, float]] = {}
        for begin in range(0, count, _PART):
            bodies = [deliveries.body() for _ in range(min(_PART, count - begin))]
            send(serving.port, deliveries.requests(bodies, installation.endpoints))
            installation.wait_until_settled()
            warm = warm or memory(serving.process)
        after = memory(serving.process)
        yield Row(
            f"the same after {count:,} events",
            _told(after),
            f"after the first {min(_PART, count):,}: {_told(warm)}",
            _sum(after) / _sum(warm),
            "flat, within 20 MB",
        )
    size = (_bytes(installation) - empty) / installation.count("SELECT count(*) FROM event")
    yield Row(
        "on disk for each event, with its run, its attempt and all indexes",
        f"{size:,.0f} B",
        f"of which the body: {deliveries.LENGTH:,} B",
        aim="under 2 kB plus the body",
    )


def _bytes(installation: Installation) -> int:
    pages = installation.count("SELECT page_count FROM pragma_page_count()")
    return pages * installation.count("SELECT page_size FROM pragma_page_size()")


def _sum(found: Mapping[str, tuple[float, float]]) -> float:
    return sum(pss for pss, _ in found.values())


def _told(found: Mapping[str, tuple[float, float]]) -> str:
    return f"{_sum(found):.0f} MB (PSS; RSS {sum(rss for _, rss in found.values()):.0f} MB)"


def _parts(found: Mapping[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} {pss:.0f} MB" for name, (pss, _) in sorted(found.items()))
