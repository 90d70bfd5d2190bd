"""A FIFO queue in memory: groups, visibility, deduplication. It knows no clock; each call gets the time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

DEDUPLICATION_SECONDS = 300.0
"""AWS: a deduplication id is remembered for five minutes."""


# Frozen dataclasses take three times as long to make, and these are made for every message.
@dataclass(slots=True)
class Content:
    """The part of a message that all queues of a topic share. `body` and `attributes` are JSON text already."""

    body: str
    md5: str
    attributes: str = ""
    order: int | None = None
    """The value of the field that orders the messages of a group, if the body has one."""


@dataclass(slots=True)
class StoredMessage:
    """A message in one queue."""

    number: int
    message_id: str
    group: str
    deduplication_id: str
    content: Content
    sent_ms: int
    receives: int = 0
    first_received_ms: int = 0
    visible_at: float = 0.0

    @property
    def handle(self) -> str:
        """The receipt handle of the latest receive."""
        return f"{self.number}.{self.receives}"


@dataclass(slots=True)
class _QueueGroup:
    waiting: deque[StoredMessage] = field(default_factory=deque)
    in_flight: dict[int, StoredMessage] = field(default_factory=dict)
    """By number, in the order of the group."""


@dataclass(slots=True)
class QueueCounts:
    """Counters of one queue since the start or the last reset."""

    sent: int = 0
    duplicates: int = 0
    received: int = 0
    redelivered: int = 0
    expired: int = 0
    deleted: int = 0
    deleted_before_earlier: int = 0
    """Deleted while an earlier message of the same group was still in the queue."""
    stale_handles: int = 0
    first_received_at: float | None = None
    last_deleted_at: float | None = None


class Deduplication:
    """Remembers which ids of which groups were seen within five minutes."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, str, str]] = {}
        self._forget_at = 0.0

    def find(self, group: str, deduplication_id: str, now: float) -> tuple[str, str] | None:
        """Message id and sequence number given to the first message with this id."""
        if now >= self._forget_at:
            self._forget(now)
        found = self._seen.get((group, deduplication_id))
        return (found[1], found[2]) if found else None

    def remember(self, group: str, deduplication_id: str, message_id: str, sequence_number: str, now: float) -> None:
        """Keep what the first message with this id got."""
        self._seen[group, deduplication_id] = (now, message_id, sequence_number)

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            self._forget_at = self._seen[oldest][0] + DEDUPLICATION_SECONDS
            if now < self._forget_at:
                return
            del self._seen[oldest]


class FifoQueue:
    """While messages of a group are in flight, the rest of that group is not delivered.

    `on_deleted` is called with each deleted message and the time.
    """

    def __init__(self, on_deleted: Callable[[StoredMessage, float], None] | None = None) -> None:
        self.counts = QueueCounts()
        self.deduplication = Deduplication()
        self._groups: dict[str, _QueueGroup] = {}
        # Groups with something to deliver and nothing in flight, the one that waited longest first.
        self._ready: dict[str, _QueueGroup] = {}
        self._in_flight: dict[int, StoredMessage] = {}
        self._returned: set[int] = set()
        self._deadlines: list[tuple[float, int, int]] = []
        self._waiting = 0
        self._on_deleted = on_deleted

    @property
    def visible(self) -> int:
        """Messages that are not in flight, whether or not their group is blocked."""
        return self._waiting

    @property
    def in_flight(self) -> int:
        """Received, not deleted, and still invisible."""
        return len(self._in_flight)

    def put(self, message: StoredMessage) -> None:
        """Append a message to its group."""
        group = self._groups.get(message.group)
        if group is None:
            group = self._groups[message.group] = _QueueGroup()
        group.waiting.append(message)
        self._waiting += 1
        self.counts.sent += 1
        if not group.in_flight:
            self._ready[message.group] = group

    def take(self, most: int, visibility: float, now: float, now_ms: int) -> list[StoredMessage]:
        """Deliver up to `most` messages: as many as there are of the first group, then of the next."""
        taken: list[StoredMessage] = []
        while self._ready and len(taken) < most:
            name = next(iter(self._ready))
            group = self._ready.pop(name)
            while group.waiting and len(taken) < most:
                message = group.waiting.popleft()
                self._deliver(message, now + visibility, now_ms)
                group.in_flight[message.number] = message
                taken.append(message)
        if taken:
            self._waiting -= len(taken)
            self.counts.received += len(taken)
            if self.counts.first_received_at is None:
                self.counts.first_received_at = now
        return taken

    def delete(self, handle: str, now: float) -> bool:
        """Delete by receipt handle; False when the handle has expired. Deleting twice succeeds, as on AWS."""
        message = self._held(handle)
        if message is None:
            return not self._has_expired(handle)
        del self._in_flight[message.number]
        group = self._groups[message.group]
        first = next(iter(group.in_flight))
        if first < message.number or (group.waiting and group.waiting[0].number < message.number):
            self.counts.deleted_before_earlier += 1
        self._settle(message, group)
        self.counts.deleted += 1
        self.counts.last_deleted_at = now
        if self._on_deleted:
            self._on_deleted(message, now)
        return True

    def change_visibility(self, handle: str, seconds: float, now: float) -> bool:
        """Keep a message invisible for `seconds` from now, or return it with 0; False when the handle has expired."""
        message = self._held(handle)
        if message is None:
            self.counts.stale_handles += 1
            return False
        message.visible_at = now + seconds
        if seconds <= 0:
            self._return(message)
        else:
            heapq.heappush(self._deadlines, (message.visible_at, message.number, message.receives))
        return True

    def expire(self, now: float) -> bool:
        """Return what was invisible for too long to its group; True when anything was returned."""
        returned = False
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, receives = heapq.heappop(self._deadlines)
            message = self._in_flight.get(number)
            if message is not None and message.receives == receives and message.visible_at <= now:
                self.counts.expired += 1
                self._return(message)
                returned = True
        return returned

    @property
    def has_ready(self) -> bool:
        """Whether a receive would find something."""
        return bool(self._ready)

    def _deliver(self, message: StoredMessage, visible_at: float, now_ms: int) -> None:
        message.receives += 1
        message.visible_at = visible_at
        if message.receives == 1:
            message.first_received_ms = now_ms
        else:
            self.counts.redelivered += 1
            self._returned.discard(message.number)
        self._in_flight[message.number] = message
        heapq.heappush(self._deadlines, (visible_at, message.number, message.receives))

    def _return(self, message: StoredMessage) -> None:
        del self._in_flight[message.number]
        self._returned.add(message.number)
        group = self._groups[message.group]
        group.waiting.append(message)
        group.waiting = deque(sorted(group.waiting, key=lambda each: each.number))
        self._waiting += 1
        self._settle(message, group)

    def _settle(self, message: StoredMessage, group: _QueueGroup) -> None:
        """This message of the group is no longer in flight."""
        del group.in_flight[message.number]
        if group.in_flight:
            return
        if group.waiting:
            self._ready[message.group] = group
        else:
            del self._groups[message.group]

    def _held(self, handle: str) -> StoredMessage | None:
        number, _, receives = handle.partition(".")
        message = self._in_flight.get(int(number)) if number.isdecimal() else None
        return message if message is not None and str(message.receives) == receives else None

    def _has_expired(self, handle: str) -> bool:
        number = handle.partition(".")[0]
        expired = not number.isdecimal() or int(number) in self._in_flight or int(number) in self._returned
        self.counts.stale_handles += expired
        return expired
