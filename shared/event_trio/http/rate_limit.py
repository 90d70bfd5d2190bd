"""How often a caller may ask: so many requests a minute for each, as even as the caller likes."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from ..errors import EventTrioError
from .problems import ProblemKind

TOO_MANY = ProblemKind("too-many-requests", "Too many requests", 429, transient=True)

# Of more callers than this within a minute, those who were longest silent are forgotten.
MOST_CALLERS = 10_000


class TooManyRequests(EventTrioError):
    """The caller asks more often than is allowed."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.retry_after = max(1, math.ceil(wait))


class RateLimit:
    """Lets each caller have a minute's requests at once, and then one whenever another is due.

    The generic cell rate algorithm (ITU-T I.371): of a caller only one time is kept, at which all that they asked
    would have been due if it had come evenly. It counts in this process alone.
    """

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 1:
            raise ValueError("a limit is at least one request a minute")
        self._interval = 60.0 / per_minute
        self._tolerance = 60.0 - self._interval
        self._monotonic = monotonic
        self._due: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request; raises TooManyRequests, which costs the caller nothing."""
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
