"""When to poll the outbox next: soon after events were found, and less and less often while it is empty."""

from __future__ import annotations

from collections.abc import Callable

# After events were found, the outbox is polled again this soon; while it stays empty, the interval doubles.
FIRST_POLL_SECONDS = 0.01
# The same while the relay receives notifications: then every commit makes it read at once.
FIRST_POLL_WHILE_LISTENING_SECONDS = 0.25
# The same while every change is announced, and nothing has to be searched.
WHILE_ANNOUNCED_SECONDS = 10.0
# After a read that failed. A notification before it does not come again, so a long interval must not follow.
READ_AGAIN_SECONDS = 1.0


class PollInterval:
    """An adaptive interval between polls. Times are monotonic seconds."""

    def __init__(self, idle_seconds: float, is_announced: Callable[[], bool] = lambda: False) -> None:
        """`idle_seconds` is the longest interval; `is_announced` tells whether every change is announced."""
        self._idle_seconds = idle_seconds
        self._is_announced = is_announced
        self._seconds = FIRST_POLL_SECONDS
        self.next_at = 0.0

    def shorten(self) -> None:
        """Begin with the shortest interval again after the next poll."""
        self._seconds = FIRST_POLL_SECONDS

    def found(self, events: int, now: float, *, listening: bool) -> None:
        """A poll found so many events, perhaps none; `listening` tells whether notifications are received."""
        if self._is_announced():
            self._plan(now, WHILE_ANNOUNCED_SECONDS)
        elif events:
            self._plan(now, FIRST_POLL_WHILE_LISTENING_SECONDS if listening else FIRST_POLL_SECONDS)
        else:
            self._plan(now, min(self._seconds * 2, self._idle_seconds))

    def failed(self, now: float) -> None:
        """A poll failed."""
        self._plan(now, min(READ_AGAIN_SECONDS, self._idle_seconds))

    def _plan(self, now: float, seconds: float) -> None:
        self._seconds = seconds
        self.next_at = now + seconds
