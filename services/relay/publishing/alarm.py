"""A timer that is set again and again to the next time at which something is to be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls a function at the time last set, or earlier. Times are monotonic seconds.

    A timer that fires too early costs less than one that is replaced each time, and does no harm to a loop that looks
    at the clock when it is woken.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float, now: float) -> None:
        """Set the time; a timer that fires between `now` and then is left as it is."""
        if self._timer is not None and self._at <= at:
            return
        self.cancel()
        self._at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._fire)

    def cancel(self) -> None:
        """Do not call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._call()
