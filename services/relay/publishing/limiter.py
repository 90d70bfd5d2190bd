"""How many calls may be in flight: fewer while the broker throttles, more again as long as it does not (AIMD)."""

from __future__ import annotations

import math

from event_trio.backoff import Backoff

# Throttled up to this share costs less than fewer calls would: at the edge of what the broker takes, some always is.
TOLERATED = 0.2
# A round is at least so many answers, or chance would rule.
ROUND = 10
# With one call in flight, and one after the other throttled, the next one waits.
PAUSE = Backoff(first=0.05, factor=2, cap=2.0, jitter=0.5)


class InFlightLimit:
    """Grows by one with every round of calls of which little was throttled, and shrinks by half of what was throttled.

    A round is as many answers as calls may be in flight, ten at the least. So a little throttling costs no more than
    what is throttled, while a broker that throttles everything is asked for one call at a time after a few rounds.
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
        """Whether it is below what the settings say."""
        return self.current < self._most

    def may_begin(self, in_flight: int, now: float) -> bool:
        """Whether another call may begin."""
        return in_flight < self.current and now >= self.opens_at

    def answered(self, entries: int, throttled: int, now: float) -> None:
        """A call with so many entries was answered, and so many of them were throttled."""
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
