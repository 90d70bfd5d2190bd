"""Compares measurements on a noisy machine: the median of ratios of neighboring runs, with a bootstrap interval."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 5000


@dataclass(frozen=True)
class Ratio:
    """The median of ratios, with the interval that contains 95 % of the medians of resamples."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.pairs} pairs"


def compare(ratios: Sequence[float], *, seed: int = 1) -> Ratio:
    """Summarize ratios; the result is deterministic. Raises ValueError when there are none."""
    if not ratios:
        raise ValueError("no pair was measured")
    generator = random.Random(seed)  # noqa: S311 - resampling, not a secret
    medians = sorted(median(generator.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    low, high = medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]
    return Ratio(median(ratios), low, high, len(ratios))
