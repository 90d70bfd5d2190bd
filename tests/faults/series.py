"""The values of a metric over time, and whether they grow."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from itertools import combinations

WARM_UP = 0.3
"""The first part of a soak, in which caches fill, is not judged."""
GROWTH = 0.10
"""What may grow over the rest, as a share of its median."""
SPARE = {
    "memory": 8.0, "descriptors": 4.0, "threads": 2.0, "tasks": 6.0, "connections": 4.0, "bytes a row": 120.0,
    "table size": 256.0,
}  # fmt: skip
"""Growth below these numbers (MiB, counts, bytes, KiB) is noise."""
BARS = "▁▂▃▄▅▆▇█"


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
    def growth_an_hour(self) -> float:
        """The same slope, for an hour."""
        judged = self._judged()
        seconds = judged[-1][0] - judged[0][0]
        return self.growth * 3600.0 / seconds if seconds else 0.0

    @property
    def median(self) -> float:
        """The median after the warm-up."""
        return statistics.median(value for _, value in self._judged())

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow by more than a share of itself, and more than noise."""
        return self.growth <= max(GROWTH * self.median, SPARE[self.kind])

    def plot(self, width: int = 24) -> str:
        """The course as a line of bars, from zero to the greatest of their medians; the warm-up is part of it."""
        first, last = self.points[0][0], self.points[-1][0]
        buckets: list[list[float]] = [[] for _ in range(width)]
        for at, value in self.points:
            buckets[min(width - 1, int(width * (at - first) / ((last - first) or 1.0)))].append(value)
        medians = [statistics.median(bucket) if bucket else None for bucket in buckets]
        greatest = max((value for value in medians if value is not None), default=0.0) or 1.0
        return "".join(
            " " if value is None else BARS[min(len(BARS) - 1, int(value / greatest * len(BARS)))] for value in medians
        )

    def _judged(self) -> list[tuple[float, float]]:
        first = int(len(self.points) * WARM_UP)
        step = max(1, (len(self.points) - first) // 200)  # pairs grow with the square
        return self.points[first::step]
