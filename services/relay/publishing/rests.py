"""Groups that wait for another attempt: until when, after how many failures, and whether to go alone then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from event_trio.backoff import Backoff

# A group that was to be tried again, and of which nothing was read since, is somebody else's affair by now.
FORGET_AFTER_SECONDS = 600.0
# Beyond so many, the one that was put to rest first is only tried earlier than it would be.
MOST_RESTING = 5000


@dataclass(frozen=True, slots=True)
class _Rest:
    lane: int
    until: float
    failures: int
    alone: bool


class Rests:
    """Bounded, whatever fails. Times are monotonic seconds."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._rests: dict[str, _Rest] = {}

    def __len__(self) -> int:
        return len(self._rests)

    def add(self, subject: str, lane: int, now: float, backoff: Backoff, *, alone: bool) -> None:
        """This group has failed, once more: it rests as `backoff` says."""
        before = self._rests.pop(subject, None)
        failures = before.failures + 1 if before else 1
        self._rests[subject] = _Rest(lane, now + backoff.delay(failures, self._random()), failures, alone)
        if len(self._rests) > MOST_RESTING:
            del self._rests[next(iter(self._rests))]

    def end(self, subject: str) -> None:
        """This group is well."""
        self._rests.pop(subject, None)

    def clear(self) -> None:
        """Nothing is known of anybody."""
        self._rests.clear()

    def drop(self, lanes: Iterable[int]) -> None:
        """Groups of these lanes are no longer ours."""
        gone = set(lanes)
        for subject in [s for s, rest in self._rests.items() if rest.lane in gone]:
            del self._rests[subject]

    def goes_alone(self, subject: str) -> bool:
        """Whether its next call is to hold nothing else."""
        rest = self._rests.get(subject)
        return rest is not None and rest.alone

    def under_way(self, now: float) -> list[str]:
        """The groups whose rest is not over."""
        for subject in [s for s, rest in self._rests.items() if rest.until < now - FORGET_AFTER_SECONDS]:
            del self._rests[subject]
        return [subject for subject, rest in self._rests.items() if rest.until > now]

    def next_end(self, now: float) -> float | None:
        """When the next rest ends, if anybody rests."""
        return min((rest.until for rest in self._rests.values() if rest.until > now), default=None)
