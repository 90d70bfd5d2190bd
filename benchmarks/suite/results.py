"""What a part of the suite found, for the page and the plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.ratios import Ratio


@dataclass(frozen=True)
class RatioFound:
    """A ratio of two candidates, and the noise beside it. `goal` is a key of GOALS, or empty."""

    name: str
    ratio: Ratio
    null: Ratio | None
    goal: str = ""


@dataclass(frozen=True)
class NumberFound:
    """A number of one candidate, of one or several runs. `goal` is a key of GOALS, or empty."""

    name: str
    unit: str
    values: Sequence[float]
    goal: str = ""

    @property
    def median(self) -> float:
        """The median of the runs."""
        return median(self.values)


@dataclass(frozen=True)
class LatencyFound:
    """Latencies in milliseconds. `goal` and `goal_p99` are keys of GOALS for the median and for p99, or empty."""

    name: str
    samples: Sequence[float]
    goal: str = ""
    goal_p99: str = ""
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
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    problems: list[str] = field(default_factory=list)
    """Events out of order, repeated or lost: a run with any is no measurement."""

    def measured(self) -> dict[str, float]:
        """What this part measured for each of its goals."""
        found = {each.goal: each.ratio.median for each in self.ratios}
        found |= {each.goal: each.median for each in self.numbers if each.values}
        for each in self.latencies:
            if each.samples:
                found |= {each.goal: each.quantile(0.5), each.goal_p99: each.quantile(0.99)}
        found.pop("", None)
        return found
