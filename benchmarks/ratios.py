"""Compares two things on a noisy machine: medians of ratios of neighbouring runs, with a bootstrap interval."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 5000


@dataclass(frozen=True)
class Ratio:
    """The median of ratios, and the interval in which it lies in 95 of 100 resamples."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.pairs} pairs"


def compare(ratios: Sequence[float], *, seed: int = 1) -> Ratio:
    """What these ratios say together; the same ratios always say the same. Raises ValueError when there are none."""
    if not ratios:
        raise ValueError("no pair was measured")
    chance = random.Random(seed)  # noqa: S311 - resampling, no secret
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    low, high = medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]
    return Ratio(median(ratios), low, high, len(ratios))
