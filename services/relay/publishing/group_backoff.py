"""Groups that wait for another attempt: until when, after how many failures, and whether to go isolated then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from event_trio.backoff import Backoff

# A group that was to be tried again, and of which nothing was read since, is somebody else's affair by now.
FORGET_AFTER_SECONDS = 600.0
# Beyond so many, the one that was put to group first is only tried earlier than it would be.
MOST_RESTING = 5000


@dataclass(frozen=True, slots=True)
class _FailedGroup:
    lane: int
    until: float
    failures: int
    isolated: bool


class GroupBackoff:
    """Bounded, whatever fails. Times are monotonic seconds."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failed: dict[str, _FailedGroup] = {}

    def __len__(self) -> int:
        return len(self._failed)

    def add(self, subject: str, lane: int, now: float, backoff: Backoff, *, isolated: bool) -> None:
        """This group has failed, once more: it rests as `backoff` says."""
        before = self._failed.pop(subject, None)
        failures = before.failures + 1 if before else 1
        self._failed[subject] = _FailedGroup(lane, now + backoff.delay(failures, self._random()), failures, isolated)
        if len(self._failed) > MOST_RESTING:
            del self._failed[next(iter(self._failed))]

    def end(self, subject: str) -> None:
        """This group is well."""
        self._failed.pop(subject, None)

    def clear(self) -> None:
        """Nothing is known of anybody."""
        self._failed.clear()

    def drop(self, lanes: Iterable[int]) -> None:
        """Groups of these lanes are no longer ours."""
        gone = set(lanes)
        for subject in [s for s, group in self._failed.items() if group.lane in gone]:
            del self._failed[subject]

    def in_isolation(self, subject: str) -> bool:
        """Whether its next call is to hold nothing else."""
        group = self._failed.get(subject)
        return group is not None and group.isolated

    def waiting(self, now: float) -> list[str]:
        """The groups whose group is not over."""
        for subject in [s for s, group in self._failed.items() if group.until < now - FORGET_AFTER_SECONDS]:
            del self._failed[subject]
        return [subject for subject, group in self._failed.items() if group.until > now]

    def next_expiry(self, now: float) -> float | None:
        """When the next group ends, if anybody rests."""
        return min((group.until for group in self._failed.values() if group.until > now), default=None)
