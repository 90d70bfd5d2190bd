"""Time as a dependency, so that tests can control it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The source of time."""

    def now(self) -> datetime:
        """The wall-clock time in UTC, time zone aware. Leases do not use it, but the database's clock."""
        ...

    def monotonic(self) -> float:
        """Monotonic seconds, for durations and deadlines inside this process."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
