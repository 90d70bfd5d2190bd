"""Measures how long messages wait inside the broker, between the call that sends them and the queue."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf

# As RFC 6817 (LEDBAT) measures the delay of a network: the least of the recent past is what any message takes, and the
# least of the last four measurements is the present delay. The past is short, a minute in steps of ten seconds, because
# an event that a relay sent before it died seems to arrive before its second call, which spoils the base meanwhile.
STEP_SECONDS = 10
STEPS = 6
MEASUREMENTS = 4
# So many messages are followed at the same time, one of each call; one that does not come back is followed for so long.
FOLLOWED = 256
FOLLOWED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Delay:
    """A measured delay beyond the least of the last minute, in seconds, and when the call began that it tells about."""

    seconds: float
    began_at: float


@dataclass
class DeliveryDelay:
    """Compares when calls began with when the broker put their messages into the queue of the publish check.

    The two times are of different clocks, whose difference is unknown. It cancels out, because only the difference to
    the least delay is used. Times are seconds, those of this process monotonic.
    """

    _followed: dict[str, float] = field(default_factory=dict)
    _base: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=STEPS))
    _last: deque[float] = field(default_factory=lambda: deque(maxlen=MEASUREMENTS))

    def follow(self, deduplication_id: str, now: float) -> None:
        """Follow a message, with which a call begins; one that is sent again, from its first call."""
        while self._followed and now - next(iter(self._followed.values())) > FOLLOWED_SECONDS:
            del self._followed[next(iter(self._followed))]
        if len(self._followed) < FOLLOWED:
            self._followed.setdefault(deduplication_id, now)

    def follows(self, deduplication_id: str) -> bool:
        """Whether this message is followed."""
        return deduplication_id in self._followed

    def arrived(self, deduplication_id: str, queued_at: float) -> Delay:
        """Measure with a followed message, which the broker put into the queue at this time of its own clock."""
        began_at = self._followed.pop(deduplication_id)
        delay = queued_at - began_at
        step = int(began_at // STEP_SECONDS)
        if not self._base or self._base[-1][0] < step:
            self._base.append((step, inf))
        self._base[-1] = self._base[-1][0], min(self._base[-1][1], delay)
        while self._base[0][0] <= step - STEPS:
            self._base.popleft()
        self._last.append(delay)
        return Delay(min(self._last) - min(least for _, least in self._base), began_at)
