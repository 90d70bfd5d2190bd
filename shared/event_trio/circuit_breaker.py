"""A circuit breaker: after failures of a dependency no calls are made for a while, then a single probe."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum

from .backoff import Backoff
from .clock import Clock
from .failure_attribution import Attribution, FailureAttribution


class CircuitState(StrEnum):
    """Closed: calls are made. Open: none is made. Half-open: one is made, and its outcome decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CircuitBreakerOptions:
    """How many failures in a row open the breaker, and how long it then stays open."""

    failures: int = 1
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5))

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError(f"failures must be at least 1, not {self.failures}")


class CircuitBreaker:
    """Counts failures of a dependency; the first success closes it. Times are monotonic seconds."""

    def __init__(self, options: CircuitBreakerOptions) -> None:
        self._options = options
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self.reason: str | None = None
        """The failure that opened it; None while it is closed."""

    def state(self, now: float) -> CircuitState:
        """The state at this time."""
        if self.reason is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self._until else CircuitState.HALF_OPEN

    @property
    def next_probe_at(self) -> float | None:
        """When the next probe may be made; None while it is closed or a probe is in progress."""
        return self._until if self.reason is not None and not self._probing else None

    def try_call(self, now: float) -> bool:
        """Whether a call may be made now. In the half-open state the call that gets True is the probe."""
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
        """What `try_call` would return, without starting a probe."""
        return self.state(now) is CircuitState.CLOSED or (
            self.state(now) is CircuitState.HALF_OPEN and not self._probing
        )

    def record_success(self) -> bool:
        """Close the breaker; returns whether it was open."""
        closed = self.reason is not None
        self._failures, self._until, self._probing, self.reason = 0, 0.0, False, None
        return closed

    def record_inconclusive(self) -> None:
        """A call ended without an outcome. If it was the probe, the next call is."""
        self._probing = False

    def record_failure(self, now: float, reason: str) -> bool:
        """Count a failure; returns whether it opened the breaker."""
        self._probing = False
        if self.state(now) is CircuitState.OPEN:
            # Calls that were in flight together fail together: they count as one failure, with one wait.
            self.reason = reason
            return False
        self._failures += 1
        if self._failures < self._options.failures:
            return False
        opened = self.reason is None
        self.reason = reason
        self._until = now + self._options.backoff.delay(self._failures - self._options.failures + 1)
        return opened


class ItemCircuitBreaker:
    """A circuit breaker over calls that each concern one item, such as a message.

    A failure that repeats for one item while calls for others succeed is attributed to the item, and does not open the
    breaker.
    """

    def __init__(self, options: CircuitBreakerOptions, clock: Clock, *, least_wait_seconds: float) -> None:
        """`least_wait_seconds` is the least that `wait_seconds` returns."""
        self._breaker = CircuitBreaker(options)
        self._attribution = FailureAttribution()
        self._clock = clock
        self._least_wait_seconds = least_wait_seconds

    @property
    def reason(self) -> str | None:
        """The failure that opened the breaker; None while it is closed."""
        return self._breaker.reason

    def state(self) -> CircuitState:
        """The state now."""
        return self._breaker.state(self._clock.monotonic())

    def try_call(self) -> bool:
        """Whether a call may be made now; its outcome has to be recorded."""
        return self._breaker.try_call(self._clock.monotonic())

    def record_response(self, item: Hashable, *, success: bool) -> bool:
        """The dependency responded about the item; returns whether that closed the breaker.

        Only a `success` is evidence that the dependency works for items in general.
        """
        self._attribution.record_response(item, success=success)
        return self._breaker.record_success()

    def record_inconclusive(self) -> None:
        """The call ended without an outcome."""
        self._breaker.record_inconclusive()

    def record_failure(self, item: Hashable, reason: str, *, may_be_item: bool = True) -> tuple[Attribution, bool]:
        """The call failed; returns what the failure is attributed to, and whether it opened the breaker.

        `may_be_item` says whether the item could be the cause.
        """
        attribution = self._attribution.record_failure(item) if may_be_item else Attribution.DEPENDENCY
        if attribution is Attribution.DEPENDENCY:
            return attribution, self._breaker.record_failure(self._clock.monotonic(), reason)
        self._breaker.record_inconclusive()
        return attribution, False

    def wait_seconds(self) -> float:
        """How long to wait before the next call."""
        probe_at = self._breaker.next_probe_at
        wait = 0.0 if probe_at is None else probe_at - self._clock.monotonic()
        return max(self._least_wait_seconds, wait)
