"""Groups that wait for another attempt: until when, after how many failures, and whether in isolation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from event_trio.backoff import Backoff

from .pending_event import PendingEvent

# A group of which nothing was read for so long after its delay belongs to another relay, or has no unsent events.
FORGET_AFTER_SECONDS = 600.0
# Beyond this many, the group that failed first is forgotten, so it is only tried earlier.
MOST_GROUPS = 5000


@dataclass(frozen=True, slots=True)
class _FailedGroup:
    lane: int
    until: float
    failures: int
    isolated: bool


class GroupBackoff:
    """The delays of failed groups, bounded in number. Times are monotonic seconds."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failed: dict[str, _FailedGroup] = {}

    def __len__(self) -> int:
        return len(self._failed)

    def add(self, subject: str, lane: int, now: float, backoff: Backoff, *, isolated: bool) -> None:
        """Record a failure of a group and delay its next attempt."""
        before = self._failed.pop(subject, None)
        failures = before.failures + 1 if before else 1
        self._failed[subject] = _FailedGroup(lane, now + backoff.delay(failures, self._random()), failures, isolated)
        if len(self._failed) > MOST_GROUPS:
            del self._failed[next(iter(self._failed))]

    def end(self, events: Iterable[PendingEvent]) -> None:
        """Forget the failures of the groups of events that were accepted."""
        if self._failed:
            for event in events:
                self._failed.pop(event.subject, None)

    def clear(self) -> None:
        """Forget all groups."""
        self._failed.clear()

    def drop(self, lanes: Iterable[int]) -> None:
        """Forget the groups of these lanes."""
        gone = set(lanes)
        for subject in [s for s, group in self._failed.items() if group.lane in gone]:
            del self._failed[subject]

    def in_isolation(self, subject: str) -> bool:
        """Return whether the group's next event must be sent in a call of its own."""
        group = self._failed.get(subject)
        return group is not None and group.isolated

    def waiting(self, now: float) -> list[str]:
        """Return the groups whose delay is not over."""
        for subject in [s for s, group in self._failed.items() if group.until < now - FORGET_AFTER_SECONDS]:
            del self._failed[subject]
        return [subject for subject, group in self._failed.items() if group.until > now]

    def next_expiry(self, now: float) -> float | None:
        """Return when the next delay ends, or None."""
        return min((group.until for group in self._failed.values() if group.until > now), default=None)
