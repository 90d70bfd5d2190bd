"""A circuit breaker: after failures of something as a whole it is left alone for a while, then tried with one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from .backoff import Backoff


class CircuitState(StrEnum):
    """Closed: calls pass. Open: none does. Half-open: one does, and its outcome decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CircuitBreakerOptions:
    """What opens a breaker: so many failures in a row, and how long it then stays open."""

    failures: int = 1
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5))

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError(f"failures must be at least 1, not {self.failures}")


class CircuitBreaker:
    """Counts failures of the whole; closes by itself at the first success. Times are monotonic seconds."""

    def __init__(self, trip: CircuitBreakerOptions, *, random: Callable[[], float] | None = None) -> None:
        self._trip = trip
        self._random = random
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self.reason: str | None = None

    def state(self, now: float) -> CircuitState:
        """How it stands."""
        if self.reason is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self._until else CircuitState.HALF_OPEN

    @property
    def next_probe_at(self) -> float | None:
        """When the next probe may go, if it is not closed and none is under way."""
        return self._until if self.reason is not None and not self._probing else None

    def try_call(self, now: float) -> bool:
        """Whether a call may be begun now. With True when half-open, the caller's call is the probe."""
        match self.state(now):
            case CircuitState.CLOSED:
                return True
            case CircuitState.OPEN:
                return False
            case CircuitState.HALF_OPEN:
                if self._probing:
                    return False
                self._probing = True
                return True

    def may_call(self, now: float) -> bool:
        """What `try_call` would answer, without making anything a probe."""
        return self.state(now) is CircuitState.CLOSED or (
            self.state(now) is CircuitState.HALF_OPEN and not self._probing
        )

    def record_success(self) -> bool:
        """A call worked; True when that closed it."""
        closed = self.reason is not None
        self._failures, self._until, self._probing, self.reason = 0, 0.0, False, None
        return closed

    def record_inconclusive(self) -> None:
        """A call came to no outcome; if it was the probe, the next one is."""
        self._probing = False

    def record_failure(self, now: float, reason: str) -> bool:
        """The whole failed; True when that opened it."""
        self._probing = False
        if self.state(now) is CircuitState.OPEN:
            # Calls that were in flight together fail together: that is one failure, and one wait.
            self.reason = reason
            return False
        self._failures += 1
        if self._failures < self._trip.failures:
            return False
        opened = self.reason is None
        self.reason = reason
        chance = self._random() if self._random else None
        self._until = now + self._trip.backoff.delay(self._failures - self._trip.failures + 1, chance)
        return opened
