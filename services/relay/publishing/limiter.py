"""The limit of calls in flight: additive increase, multiplicative decrease (AIMD) while the broker throttles."""

from __future__ import annotations

import math

from event_trio.backoff import Backoff

# Up to this share, throttling costs less than fewer calls would: near the broker's limit, some calls are throttled.
TOLERATED = 0.2
# A round has at least this many answers, so that chance does not decide.
ROUND = 10
# The pause between calls when a single call in flight is throttled repeatedly.
PAUSE = Backoff(first=0.05, factor=2, cap=2.0, jitter=0.5)


class InFlightLimit:
    """Grows by one after a round with little throttling, and shrinks by half of the throttled share otherwise.

    A round has as many answers as calls may be in flight, but at least ten. Little throttling thus costs only the
    throttled calls, while a broker that throttles everything gets one call at a time after a few rounds.
    Times are monotonic seconds.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._value = float(most)
        self._answers = 0
        self._entries = 0
        self._throttled = 0
        self._streak = 0
        self.opens_at = 0.0

    @property
    def current(self) -> int:
        """How many calls may be in flight now."""
        return max(1, math.floor(self._value))

    @property
    def lowered(self) -> bool:
        """Whether the limit is below the configured one."""
        return self.current < self._most

    def may_begin(self, in_flight: int, now: float) -> bool:
        """Whether another call may begin."""
        return in_flight < self.current and now >= self.opens_at

    def answered(self, entries: int, throttled: int, now: float) -> None:
        """Record an answered call: how many entries it had, and how many of them were throttled."""
        if throttled < entries:
            self._streak, self.opens_at = 0, 0.0
        elif self.current == 1:
            self._streak += 1
            if self._streak > 1:
                self.opens_at = now + PAUSE.delay(self._streak - 1)
        self._answers += 1
        self._entries += entries
        self._throttled += throttled
        if self._answers < max(ROUND, self.current):
            return
        share = self._throttled / max(1, self._entries)
        if share > TOLERATED:
            self._value = max(1.0, self._value * (1 - share / 2))
        else:
            self._value = min(float(self._most), self._value + 1)
        self._answers, self._entries, self._throttled = 0, 0, 0
