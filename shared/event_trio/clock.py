"""Time as a dependency, so that tests decide what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where code that reasons about time gets it from."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. Never used for leases: those go by the database's clock."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for durations and deadlines inside this process."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
