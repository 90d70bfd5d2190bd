"""How long to wait before the next attempt: exponential backoff with jitter, as arithmetic only."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

GREATEST_FACTOR = 100.0
"""Beyond it the second wait is the longest one anyway; and no power of it that is taken here overflows a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """A growing wait, in seconds, capped, with a share of it random.

    The random share keeps many waiters from coming back at the same instant
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    The backoff draws it itself, so that no caller can forget to; `random` answers from [0, 1).
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
            raise ValueError(f"jitter is a share from 0 to 1, not {self.jitter}")

    def delay(self, attempt: int, random: float | None = None) -> float:
        """Seconds to wait after the given failed attempt (counted from 1).

        `random`, from [0, 1), is for who decides it himself, as a test does.
        """
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        # The exponent is bounded: a group that fails for days must not overflow a float.
        whole = min(self.cap, self.first * self.factor ** min(attempt - 1, 64))
        return whole * (1 - self.jitter * (self.random() if random is None else random))
