"""Which message may run next: groups side by side, the messages of a group one after the other. Pure bookkeeping."""

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
    alone: bool


@dataclass(slots=True)
class _Group(Generic[T]):
    entries: deque[_Entry[T]] = field(default_factory=deque)
    state: _State = _State.READY
    due: float = 0.0


class InFlightMessages(Generic[T]):
    """Messages in hand, by group.

    A group is ready, running (its first message, and only that, occupies a slot) or waiting (its first message failed
    and is not due yet; it occupies no slot, and the rest of the group stays behind it). Ready groups take turns, so
    none starves. A message added as `alone` runs only while nothing else does.

    Not safe for use from several threads; times are whatever number the caller's clock gives.
    """

    def __init__(self, *, concurrency: int, capacity: int) -> None:
        if concurrency < 1 or capacity < concurrency:
            raise ValueError(f"concurrency is at least 1 and capacity at least that, not {concurrency} and {capacity}")
        self._concurrency = concurrency
        self._capacity = capacity
        self._groups: dict[str, _Group[T]] = {}
        self._ready: deque[str] = deque()
        self._due: list[tuple[float, str]] = []
        self._held = 0
        self._running: set[str] = set()
        self._alone_runs = False

    @property
    def room(self) -> int:
        """How many more messages may be added."""
        return self._capacity - self._held

    @property
    def held(self) -> int:
        """How many messages are in hand, whatever their state."""
        return self._held

    @property
    def ready(self) -> int:
        """How many groups could run their first message, but for a slot."""
        return len(self._ready)

    @property
    def running(self) -> int:
        """How many messages run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many messages stand in groups that wait for their first message to be due."""
        return sum(len(group.entries) for group in self._groups.values() if group.state is _State.WAITING)

    def items(self) -> Iterator[T]:
        """Every message in hand, group by group, each group in order."""
        for group in self._groups.values():
            for entry in group.entries:
                yield entry.item

    def of(self, group: str) -> tuple[T, ...]:
        """The messages of one group, in order; none if it is not in hand."""
        known = self._groups.get(group)
        return tuple(entry.item for entry in known.entries) if known is not None else ()

    def idle_groups(self) -> dict[str, tuple[T, ...]]:
        """The messages of every group of which none runs."""
        return {
            name: tuple(entry.item for entry in group.entries)
            for name, group in self._groups.items()
            if group.state is not _State.RUNNING
        }

    def add(self, group: str, item: T, *, alone: bool = False) -> None:
        """Put a message behind those of its group. Raises ValueError when there is no room."""
        if self.room < 1:
            raise ValueError(f"{self._capacity} messages are in hand already")
        known = self._groups.get(group)
        if known is None:
            known = self._groups[group] = _Group()
            self._ready.append(group)
        known.entries.append(_Entry(item, alone))
        self._held += 1

    def take(self) -> tuple[str, T] | None:
        """The next message to run, with its group, or None while no slot is free or no group is ready."""
        if not self._ready or len(self._running) >= self._concurrency or self._alone_runs:
            return None
        name = self._ready[0]
        group = self._groups[name]
        first = group.entries[0]
        if first.alone and self._running:
            # Nothing overtakes it either, or a steady stream of others would keep it from ever running alone.
            return None
        self._ready.popleft()
        group.state = _State.RUNNING
        self._running.add(name)
        self._alone_runs = first.alone
        return name, first.item

    def finish(self, group: str) -> None:
        """The running message of the group is done with; the next one may run after the groups whose turn it is."""
        known = self._stop_running(group)
        known.entries.popleft()
        self._held -= 1
        if known.entries:
            known.state = _State.READY
            self._ready.append(group)
        else:
            del self._groups[group]

    def wait(self, group: str, due: float, *, alone: bool = False) -> None:
        """The running message of the group failed: it runs again once `wake` is told a time not before `due`.

        With `alone` it runs then only while nothing else does.
        """
        known = self._stop_running(group)
        known.entries[0].alone |= alone
        known.state = _State.WAITING
        known.due = due
        heapq.heappush(self._due, (due, group))

    def wake(self, now: float) -> None:
        """Make ready the groups that are due."""
        while (due := self.next_due()) is not None and due <= now:
            _, name = heapq.heappop(self._due)
            self._groups[name].state = _State.READY
            self._ready.append(name)

    def next_due(self) -> float | None:
        """When the next waiting group is due, or None if none waits."""
        while self._due:
            due, name = self._due[0]
            group = self._groups.get(name)
            if group is not None and group.state is _State.WAITING and group.due == due:
                return due
            heapq.heappop(self._due)  # left behind by a group that was dropped
        return None

    def drop(self, group: str) -> tuple[T, ...]:
        """Forget a group of which nothing runs: all of it, for what stands behind its first message must not run."""
        known = self._groups[group]
        if known.state is _State.RUNNING:
            raise ValueError("a message of this group runs")
        if known.state is _State.READY:
            self._ready.remove(group)
        del self._groups[group]
        self._held -= len(known.entries)
        return tuple(entry.item for entry in known.entries)

    def _stop_running(self, group: str) -> _Group[T]:
        if group not in self._running:
            raise ValueError("no message of this group runs")
        self._running.remove(group)
        self._alone_runs = False
        return self._groups[group]
