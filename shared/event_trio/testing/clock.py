"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class FakeClock:
    """A `Clock` that a test moves by setting `seconds`; its wall clock is so many seconds after `epoch`."""

    seconds: float = 0.0
    epoch: datetime = EPOCH

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self.epoch + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """`seconds`."""
        return self.seconds
