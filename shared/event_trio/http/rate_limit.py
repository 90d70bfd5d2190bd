"""Limits the requests per minute of each caller."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from ..errors import EventTrioError
from .problems import ProblemKind

TOO_MANY = ProblemKind("too-many-requests", "Too many requests", 429, transient=True)

# With more callers than this within a minute, the least recently active ones are forgotten.
MOST_CALLERS = 10_000


class TooManyRequests(EventTrioError):
    """The caller exceeds its rate limit."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.retry_after = max(1, math.ceil(wait))


class RateLimit:
    """Allows each caller a burst of one minute's requests, and then requests at the limited rate.

    The generic cell rate algorithm (ITU-T I.371): it keeps one time for each caller, the theoretical arrival time of
    the next request. It counts the requests to this process only.
    """

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 1:
            raise ValueError("a limit must be at least one request per minute")
        self._interval = 60.0 / per_minute
        self._tolerance = 60.0 - self._interval
        self._monotonic = monotonic
        self._due: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request; raises TooManyRequests. A rejected request is not counted."""
        now = self._monotonic()
        due = max(now, self._due.get(caller, now))
        if (wait := due - now - self._tolerance) > 1e-6:
            raise TooManyRequests(wait)
        self._due[caller] = due + self._interval
        self._due.move_to_end(caller)
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._due and (len(self._due) > MOST_CALLERS or next(iter(self._due.values())) <= now):
            self._due.popitem(last=False)
