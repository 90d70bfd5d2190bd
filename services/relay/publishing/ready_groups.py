"""The groups that have an event to send now, in turns, and those that a throttling broker lets wait a moment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence


class ReadyGroups:
    """Groups by subject, in the order in which their next events are sent. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._paused: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def paused(self) -> int:
        """How many groups wait a moment."""
        return len(self._paused)

    def add(self, subject: str) -> None:
        """Add a group behind all others; one that is ready already keeps its turn."""
        self._ready.setdefault(subject)

    def next(self) -> str:
        """Take the group whose turn it is. Raises KeyError if none is ready."""
        return self._ready.popitem(last=False)[0]

    def put_back(self, subjects: Sequence[str]) -> None:
        """Give groups that were taken the next turns, in this order."""
        for subject in reversed(subjects):
            self._ready[subject] = None
            self._ready.move_to_end(subject, last=False)

    def pause(self, subject: str, until: float) -> None:
        """Make a group ready at this time."""
        self._paused[subject] = until

    def resume(self, now: float) -> None:
        """Make the groups ready whose pause is over."""
        if not self._paused:
            return
        for subject in [s for s, until in self._paused.items() if until <= now]:
            del self._paused[subject]
            self._ready[subject] = None

    def next_resume_at(self, now: float) -> float | None:
        """Return when the next pause ends, or None."""
        return min((until for until in self._paused.values() if until > now), default=None)

    def remove(self, subject: str) -> None:
        """Forget a group."""
        self._ready.pop(subject, None)
        self._paused.pop(subject, None)

    def clear(self) -> None:
        """Forget all groups."""
        self._ready.clear()
        self._paused.clear()


class DeprioritizedGroups:
    """Groups whose calls did not succeed, the last one last: their events are sent behind those of the others."""

    def __init__(self, most: int) -> None:
        """`most` is how many groups are remembered."""
        self._most = most
        self._groups: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, subject: str) -> bool:
        return subject in self._groups

    def add(self, subject: str) -> None:
        """Remember a group as the last one."""
        self._groups[subject] = None
        self._groups.move_to_end(subject)
        if len(self._groups) > self._most:
            self._groups.popitem(last=False)

    def in_order(self, subjects: Collection[str]) -> list[str]:
        """Return those of the groups that are among `subjects`."""
        return [subject for subject in self._groups if subject in subjects] if subjects else []

    def clear(self) -> None:
        """Forget all groups."""
        self._groups.clear()
