"""The figures: rows of a table, printed as they are found."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median

HEAD = "| what | figure | measured against, in the same minutes | ratio | aim |\n| --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Row:
    """One figure. `against` is what was run beside it, `ratio` the figure's to that one's."""

    what: str
    figure: str
    against: str = ""
    ratio: float | None = None
    aim: str = ""

    def line(self) -> str:
        """As a line of a Markdown table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return f"| {self.what} | **{self.figure}** | {self.against} | {ratio} | {self.aim} |"


def machine() -> str:
    """What it was measured on, and when; how busy the machine was before."""
    model = "unknown processor"
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cpu_count()} cores ({model}), {platform.system()}, "
        f"Python {sys.version.split()[0]}; load before: {getloadavg()[0]:.1f}"
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(values: Sequence[float]) -> str:
    """Seconds, as their p50 and p99 in milliseconds."""
    return f"p50 {quantile(values, 0.5) * 1000:.1f} ms, p99 {quantile(values, 0.99) * 1000:.1f} ms"


__all__ = ["HEAD", "Row", "machine", "median", "milliseconds", "quantile"]
