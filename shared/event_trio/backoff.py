"""Exponential backoff with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

GREATEST_FACTOR = 100.0
"""With a larger factor the second wait is the cap in any case; with this one no power used here overflows a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """A wait in seconds that grows by `factor` up to `cap`, of which the share `jitter` is random.

    The random share spreads the retries of many clients
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/). `random` returns numbers from
    [0, 1).
    """

    first: float = 0.1
    factor: float = 2.0
    cap: float = 30.0
    jitter: float = 0.5
    random: Callable[[], float] = field(default=random.random, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.first <= 0 or self.cap < self.first:
            raise ValueError(f"first must be above 0 and cap at least first, not {self.first} and {self.cap}")
        if not 1 <= self.factor <= GREATEST_FACTOR:
            raise ValueError(f"factor must be from 1 to {GREATEST_FACTOR:g}, not {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be a share from 0 to 1, not {self.jitter}")

    def delay(self, attempt: int, random: float | None = None) -> float:
        """Seconds to wait after the given failed attempt (counted from 1).

        `random`, from [0, 1), replaces the backoff's own random number.
        """
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        # The exponent is bounded: the attempts of days must not overflow a float.
        whole = min(self.cap, self.first * self.factor ** min(attempt - 1, 64))
        return whole * (1 - self.jitter * (self.random() if random is None else random))
