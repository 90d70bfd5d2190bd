"""Samples what a leak would let grow: memory, descriptors, connections, and the sizes of tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from tests.faults.system import System
from tests.support.databases import fetch

CONNECTIONS = "SELECT usename, count(*) FROM pg_stat_activity WHERE datname = ANY($1) GROUP BY usename"
BYTES_A_ROW = """
SELECT pg_total_relation_size($1::regclass)::float8 / greatest(count, 1) FROM (SELECT count(*) FROM {table}) AS rows
"""
TABLES = (("orders", "outbox_event"), ("orders", "orders"), ("sink", "processed_message"))
WARM_UP = 0.3
"""The first part of a soak, in which caches fill, is not judged."""
GROWTH = 0.10
"""What may grow over the rest, as a share of its median."""
SPARE = {"memory": 8.0, "descriptors": 4.0, "connections": 4.0, "bytes a row": 120.0}
"""Growth below these numbers (MiB, counts, bytes) is noise."""


@dataclass
class Series:
    """The values of one metric over time, in seconds."""

    name: str
    kind: str
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """The growth after the warm-up by the median slope of all pairs (Theil and Sen), in the unit of the metric."""
        judged = self._judged()
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(judged, 2) if b[0] > a[0]]
        return statistics.median(slopes) * (judged[-1][0] - judged[0][0]) if slopes else 0.0

    @property
    def median(self) -> float:
        """The median after the warm-up."""
        return statistics.median(value for _, value in self._judged())

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow by more than a share of itself, and more than noise."""
        return self.growth <= max(GROWTH * self.median, SPARE[self.kind])

    def _judged(self) -> list[tuple[float, float]]:
        first = int(len(self.points) * WARM_UP)
        step = max(1, (len(self.points) - first) // 200)  # pairs grow with the square
        return self.points[first::step]


class Sampler:
    """Takes a sample of everything at a time."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._began = time.monotonic()
        self.series: dict[str, Series] = {}

    async def sample(self) -> None:
        """Add a value to each series."""
        for actor in self._system.actors:
            if pid := actor.pid:
                self._add(f"{actor.name} memory (MiB)", "memory", _resident(pid))
                self._add(f"{actor.name} descriptors", "descriptors", _descriptors(pid))
        names = [self._system.orders.name, self._system.sink.name]
        for row in await fetch(self._system.orders.url, CONNECTIONS, names):
            if row["usename"] != "postgres":
                self._add(f"{row['usename']} connections", "connections", float(row["count"]))
        urls: Mapping[str, str] = {"orders": self._system.orders.url, "sink": self._system.sink.url}
        for database, table in TABLES:
            (found,) = await fetch(urls[database], BYTES_A_ROW.format(table=table), table)
            self._add(f"{table} bytes a row", "bytes a row", float(found[0]))

    def growing(self) -> Sequence[Series]:
        """What is not flat."""
        return [series for series in self.series.values() if not series.is_flat]

    def _add(self, name: str, kind: str, value: float) -> None:
        series = self.series.setdefault(name, Series(name, kind))
        series.points.append((time.monotonic() - self._began, value))


def _resident(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in text.splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


def _descriptors(pid: int) -> float:
    try:
        return float(len(list(Path(f"/proc/{pid}/fd").iterdir())))
    except OSError:
        return 0.0
