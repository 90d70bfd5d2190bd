"""Decides how long a batch that is not full waits for more events."""

from __future__ import annotations

from datetime import datetime

from .call_spacing import CallSpacing
from .delivery_delay import DeliveryDelay

# From this call time a call costs the broker and the client more than a wait of that time costs an event.
SLOW_SECONDS = 0.02
# A quick broker: while more than this share of the calls is in flight, a batch waits at most so long after an answer.
FILL_ABOVE = 0.25
FILL_SECONDS = 0.05
# A slow broker: while a call is in flight, a batch waits for its answer, unless that takes half as long again as usual;
# and for no more than this.
WAIT_FACTOR = 1.5
LONGEST_WAIT_SECONDS = 0.25
# The weight of the newest call in the average of the call times.
WEIGHT = 0.2


class BatchFilling:
    """Lets a batch that is not full wait for events while calls are in flight, whose answers make more events ready.

    A call costs nearly the same with one event as with ten, so under load fewer and fuller calls cost less. An event
    that finds no call in flight does not wait, unless the broker delivers late: a broker may acknowledge calls faster
    than it delivers their messages, and then only fewer calls help. Times are monotonic seconds.
    """

    def __init__(self, most_calls: int) -> None:
        self._few_calls = max(1, int(most_calls * FILL_ABOVE))
        self._call_seconds = 0.0
        self._answered_at = 0.0
        self._began_at = 0.0
        self._joinable = True
        self._delays = DeliveryDelay()
        self._spacing = CallSpacing()

    @property
    def _slow(self) -> bool:
        return self._call_seconds >= SLOW_SECONDS

    def spacing(self, now: float) -> float:
        """The least time between calls with batches that are not full, in seconds; 0 unless it delivers late."""
        return self._spacing.seconds(now)

    def wait_ends_at(self, in_flight: int, now: float) -> float:
        """When a batch that is not full waits no longer while `in_flight` calls are in flight."""
        spaced = self._began_at + self.spacing(now)
        if in_flight <= (0 if self._slow else self._few_calls):
            return spaced
        if self._slow:
            return max(spaced, self._began_at + min(self._call_seconds * WAIT_FACTOR, LONGEST_WAIT_SECONDS))
        return max(spaced, self._answered_at + FILL_SECONDS)

    def began(self, now: float, deduplication_id: str, *, joinable: bool) -> None:
        """Note that a call began, with this message. A batch is joinable if more events would have gone with it."""
        self._began_at = now
        self._joinable = joinable
        self._delays.follow(deduplication_id, now)

    def not_attempted(self, deduplication_id: str) -> None:
        """Note that the call with this message, which began, was not made."""
        self._delays.unfollow(deduplication_id)

    def delivered(self, deduplication_id: str, queued_at: datetime, now: float) -> float | None:
        """Note when the broker put a message into the queue of the publish check; its delay, if measured."""
        if not self._delays.follows(deduplication_id):
            return None
        delay = self._delays.arrived(deduplication_id, queued_at.timestamp(), now)
        if delay is None:
            return None
        self._spacing.observe(delay, now)
        return delay.seconds

    def answered(self, seconds: float) -> None:
        """Note that a call took `seconds`."""
        self._call_seconds += (seconds - self._call_seconds) * WEIGHT

    def ended(self, now: float) -> None:
        """Note that a call ended, with an answer or without one."""
        self._answered_at = now

    def waits(self, in_flight: int, now: float) -> bool:
        """Whether a batch that is not full waits while `in_flight` calls are in flight."""
        return self._joinable and now < self.wait_ends_at(in_flight, now)
