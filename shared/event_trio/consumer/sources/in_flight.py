"""Which message may run next: groups concurrently, the messages of a group one after the other. Bookkeeping only."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

T = TypeVar("T")


class _State(Enum):
    READY = auto()
    RUNNING = auto()
    WAITING = auto()


@dataclass(slots=True)
class _Entry(Generic[T]):
    item: T
    isolated: bool


@dataclass(slots=True)
class _GroupInFlight(Generic[T]):
    entries: deque[_Entry[T]] = field(default_factory=deque)
    state: _State = _State.READY
    due: float = 0.0


class InFlightMessages(Generic[T]):
    """The messages in memory, by group.

    A group is ready, running (its first message occupies a slot) or waiting (its first message failed and is not due
    yet; it occupies no slot, and the later messages of the group stay behind it). Ready groups take turns, so none
    starves. A message added as `isolated` runs only while nothing else does.

    Not thread-safe. Times are numbers of the caller's clock.
    """

    def __init__(self, *, concurrency: int, capacity: int) -> None:
        if concurrency < 1 or capacity < concurrency:
            raise ValueError(f"concurrency is at least 1 and capacity at least that, not {concurrency} and {capacity}")
        self._concurrency = concurrency
        self._capacity = capacity
        self._groups: dict[str, _GroupInFlight[T]] = {}
        self._ready: deque[str] = deque()
        self._due: list[tuple[float, str]] = []
        self._held = 0
        self._waiting = 0
        self._running: set[str] = set()
        self._isolated_runs = False

    @property
    def room(self) -> int:
        """How many more messages may be added."""
        return self._capacity - self._held

    @property
    def held(self) -> int:
        """How many messages are in memory, whatever their state."""
        return self._held

    @property
    def ready(self) -> int:
        """How many groups wait for a slot only."""
        return len(self._ready)

    @property
    def running(self) -> int:
        """How many messages run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many messages are in waiting groups."""
        return self._waiting

    def items(self) -> Iterator[T]:
        """Every message, group by group, each group in order."""
        for group in self._groups.values():
            for entry in group.entries:
                yield entry.item

    def of(self, group: str) -> tuple[T, ...]:
        """The messages of one group, in order."""
        known = self._groups.get(group)
        return tuple(entry.item for entry in known.entries) if known is not None else ()

    def idle_groups(self) -> dict[str, tuple[T, ...]]:
        """The messages of every group that does not run."""
        return {
            name: tuple(entry.item for entry in group.entries)
            for name, group in self._groups.items()
            if group.state is not _State.RUNNING
        }

    def add(self, group: str, item: T, *, isolated: bool = False) -> None:
        """Append a message to its group; raises ValueError when there is no room."""
        if self.room < 1:
            raise ValueError(f"{self._capacity} messages are in memory already")
        known = self._groups.get(group)
        if known is None:
            known = self._groups[group] = _GroupInFlight()
            self._ready.append(group)
        known.entries.append(_Entry(item, isolated))
        self._held += 1
        self._waiting += known.state is _State.WAITING

    def take(self) -> tuple[str, T] | None:
        """The next message to run, with its group, or None while no slot is free or no group is ready."""
        if not self._ready or len(self._running) >= self._concurrency or self._isolated_runs:
            return None
        name = self._ready[0]
        group = self._groups[name]
        first = group.entries[0]
        if first.isolated and self._running:
            # Nothing overtakes it, or a steady stream of others would keep it from running.
            return None
        self._ready.popleft()
        group.state = _State.RUNNING
        self._running.add(name)
        self._isolated_runs = first.isolated
        return name, first.item

    def finish(self, group: str) -> bool:
        """The running message of the group is completed. The next one runs after the groups whose turn it is.

        Returns whether it was the last one of its group in memory.
        """
        known = self._stop_running(group)
        known.entries.popleft()
        self._held -= 1
        if known.entries:
            known.state = _State.READY
            self._ready.append(group)
            return False
        del self._groups[group]
        return True

    def wait(self, group: str, due: float, *, isolated: bool = False) -> None:
        """The running message of the group failed: it runs again after a `wake` at `due` or later.

        If `isolated`, it then runs only while nothing else does.
        """
        known = self._stop_running(group)
        known.entries[0].isolated |= isolated
        known.state = _State.WAITING
        self._waiting += len(known.entries)
        known.due = due
        heapq.heappush(self._due, (due, group))

    def wake(self, now: float) -> None:
        """Make the groups that are due ready."""
        while (due := self.next_due()) is not None and due <= now:
            _, name = heapq.heappop(self._due)
            group = self._groups[name]
            group.state = _State.READY
            self._waiting -= len(group.entries)
            self._ready.append(name)

    def next_due(self) -> float | None:
        """When the next waiting group is due, or None if none waits."""
        while self._due:
            due, name = self._due[0]
            group = self._groups.get(name)
            if group is not None and group.state is _State.WAITING and group.due == due:
                return due
            heapq.heappop(self._due)  # of a group that was dropped
        return None

    def drop(self, group: str) -> tuple[T, ...]:
        """Drop a group that does not run: all of it, for no message may run before an earlier one of its group."""
        known = self._groups[group]
        if known.state is _State.RUNNING:
            raise ValueError("a message of this group runs")
        if known.state is _State.READY:
            self._ready.remove(group)
        del self._groups[group]
        self._held -= len(known.entries)
        self._waiting -= len(known.entries) if known.state is _State.WAITING else 0
        return tuple(entry.item for entry in known.entries)

    def _stop_running(self, group: str) -> _GroupInFlight[T]:
        if group not in self._running:
            raise ValueError("no message of this group runs")
        self._running.remove(group)
        self._isolated_runs = False
        return self._groups[group]
