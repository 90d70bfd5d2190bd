"""What a part of the suite found, for the page and the plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.ratios import Ratio


@dataclass(frozen=True)
class Goal:
    """What a number should be: at least or at most so much."""

    value: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether the number is good enough."""
        return value >= self.value if self.at_least else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"


@dataclass(frozen=True)
class RatioFound:
    """A ratio of two candidates, and the noise beside it."""

    name: str
    ratio: Ratio
    null: Ratio | None
    goal: Goal | None = None


@dataclass(frozen=True)
class NumberFound:
    """A number of one candidate: the median of its runs, the least and the most."""

    name: str
    unit: str
    values: Sequence[float]
    goal: Goal | None = None


@dataclass(frozen=True)
class LatencyFound:
    """Latencies in milliseconds, from the intended time."""

    name: str
    samples: Sequence[float]
    goal: Goal | None = None
    """For the median."""
    goal_p99: Goal | None = None
    plot: str = ""
    """The plot that it is drawn in, if any."""

    def quantile(self, share: float) -> float:
        """The latency that this share of the samples does not exceed (nearest rank)."""
        ordered = sorted(self.samples)
        return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


@dataclass
class Section:
    """One part: its conditions, and everything that was found."""

    title: str
    conditions: list[str] = field(default_factory=list)
    ratios: list[RatioFound] = field(default_factory=list)
    numbers: list[NumberFound] = field(default_factory=list)
    latencies: list[LatencyFound] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Events out of order, repeated or lost: a run with any is no measurement."""
