"""Keeps calls apart while the broker delivers late."""

from __future__ import annotations

from math import inf

from .delivery_delay import Delay

# Messages are late when they wait inside the broker for so much longer than usual.
LATE_SECONDS = 0.05
# When they have not waited for so much longer for a second, the spacing shrinks, to half in so much time.
RECOVERED_SECONDS = 0.03
HELD_SECONDS = 1.0
HALVED_SECONDS = 10.0
# The spacing grows by this factor, from the first value to the most. Below the least there is none.
FIRST_SECONDS = 0.04
FACTOR = 2.0
MOST_SECONDS = 0.25
LEAST_SECONDS = 0.01


class CallSpacing:
    """The least time between the beginnings of two calls with batches that are not full.

    It grows while messages are late, and shrinks when they no longer are. Only a call that began after it grew tells
    whether it must grow again. Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._value = 0.0
        self._shrinks_from = 0.0
        self._grew_at = -inf

    def seconds(self, now: float) -> float:
        """The spacing now; 0 if there is none."""
        value = self._value * 0.5 ** max(0.0, (now - self._shrinks_from) / HALVED_SECONDS)
        return value if value >= LEAST_SECONDS else 0.0

    def observe(self, delay: Delay, now: float) -> None:
        """Adapt the spacing to a measured delay."""
        if delay.seconds <= RECOVERED_SECONDS:
            return
        value = self.seconds(now)
        if delay.seconds > LATE_SECONDS and delay.began_at >= self._grew_at:
            value, self._grew_at = min(MOST_SECONDS, max(FIRST_SECONDS, value * FACTOR)), now
        self._value, self._shrinks_from = value, now + HELD_SECONDS
