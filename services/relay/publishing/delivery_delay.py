"""Measures how long messages wait inside the broker, between the call that sends them and the queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import NamedTuple

# The usual time of a message is the least median of so many measurements in the last minute, which is kept in steps; at
# first of a few. It is recent, because clocks drift, and because an event that a relay sent before it died seems to
# arrive before its second call. Twice the distance between the quartiles beyond it are usual too.
WINDOW = 20
FIRST_WINDOW = 5
USUAL_QUARTILES = 2
STEP_SECONDS = 10.0
STEPS = 6
# The least of the last four measurements is the present time, so that a single late message does not count.
PRESENT = 4
# So many messages are followed at the same time, one of each call, and for so long. A greater difference between two
# measurements is a clock that was set.
FOLLOWED = 1000
FOLLOWED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Delay:
    """By how much the present time exceeds what is usual, in seconds, and when the call began that it tells about."""

    seconds: float
    began_at: float


class Times(NamedTuple):
    """What measurements have in common: their median, and how far their quartiles are apart."""

    median: float
    quartiles: float

    @classmethod
    def of(cls, measurements: Sequence[float]) -> Times:
        """Describe at least two measurements."""
        first, middle, third = quantiles(measurements)
        return cls(middle, third - first)


@dataclass
class DeliveryDelay:
    """Compares when calls began with when the broker put their messages into the queue of the publish check.

    The two times are of different clocks, whose difference is unknown. It cancels out, because only the difference to
    the usual time is used. Times are seconds, those of this process monotonic.
    """

    _followed: dict[str, float] = field(default_factory=dict)
    _window: list[float] = field(default_factory=list)
    _usual: deque[tuple[int, Times]] = field(default_factory=lambda: deque(maxlen=STEPS))
    _present: deque[float] = field(default_factory=lambda: deque(maxlen=PRESENT))

    def follow(self, deduplication_id: str, now: float) -> None:
        """Follow a message, with which a call begins. One that is sent again is not: either call may be the one."""
        if self._followed.pop(deduplication_id, None) is not None:
            return
        if len(self._followed) == FOLLOWED:
            del self._followed[next(iter(self._followed))]
        self._followed[deduplication_id] = now

    def unfollow(self, deduplication_id: str) -> None:
        """Forget a message whose call was not made."""
        self._followed.pop(deduplication_id, None)

    def follows(self, deduplication_id: str) -> bool:
        """Whether this message is followed."""
        return deduplication_id in self._followed

    def arrived(self, deduplication_id: str, queued_at: float, now: float) -> Delay | None:
        """Measure with a followed message, which the broker put into the queue at this time of its own clock.

        None while the usual time is unknown.
        """
        began_at = self._followed.pop(deduplication_id)
        if now - began_at > FOLLOWED_SECONDS:
            return None
        taken = queued_at - began_at
        if self._present and abs(taken - self._present[-1]) > FOLLOWED_SECONDS:
            self._forget()
        step = int(now // STEP_SECONDS)
        while self._usual and self._usual[0][0] <= step - STEPS:
            self._usual.popleft()
            if not self._usual:
                self._forget()
        self._window.append(taken)
        self._present.append(taken)
        if len(self._window) == (WINDOW if self._usual else FIRST_WINDOW):
            self._keep(step, Times.of(self._window))
            self._window.clear()
        if not self._usual:
            return None
        usual = min(times for _, times in self._usual)
        return Delay(max(0.0, min(self._present) - usual.median - USUAL_QUARTILES * usual.quartiles), began_at)

    def _keep(self, step: int, times: Times) -> None:
        if self._usual and self._usual[-1][0] == step:
            times = min(times, self._usual.pop()[1])
        self._usual.append((step, times))

    def _forget(self) -> None:
        self._window.clear()
        self._usual.clear()
        self._present.clear()
