"""The events of one message group that are in memory: waiting, in flight, or acknowledged and not recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from .pending_event import PendingEvent


class NextEventAfter(StrEnum):
    """When the next event of a group may be sent: after the acknowledgement, or after the confirmation."""

    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"


Position: TypeAlias = tuple[int, int]
"""The sequences of the first and the last event of a group that are in memory."""


@dataclass(slots=True)
class PendingGroup:
    """One group in memory. Times are monotonic seconds."""

    lane: int
    read_at: float
    """When the waiting events were read."""
    head_read_at: float
    """When the group was last read from its first unsent event."""
    isolated: bool = False
    """Whether its next event must be sent in a call of its own."""
    waiting: list[PendingEvent] = field(default_factory=list)
    in_flight: PendingEvent | None = None
    unrecorded: list[PendingEvent] = field(default_factory=list)
    """Acknowledged events that are not recorded, in sequence."""
    throttled: int = 0
    more: bool = False
    """Whether the outbox may have later events of this group."""
    continues: bool = True
    """Whether the events behind those in memory may be read before these are recorded."""

    @property
    def done(self) -> bool:
        """Whether nothing of the group is in memory."""
        return not self.waiting and self.in_flight is None and not self.unrecorded

    def add(self, event: PendingEvent, *, window: int) -> None:
        """Add an event that was read; a group with `window` waiting events probably has more."""
        self.waiting.append(event)
        self.more = len(self.waiting) == window
        # An event that goes again may be followed by others that went before, so the group is read from its head.
        self.continues = self.continues and not event.republished

    def acknowledged(self, event: PendingEvent) -> None:
        """The event in flight was accepted, and must be recorded."""
        self.in_flight = None
        self.unrecorded.append(event)
        self.throttled = 0
        self.isolated = False

    def put_back(self, event: PendingEvent) -> None:
        """The event in flight is sent again, first of all."""
        self.in_flight = None
        self.waiting.insert(0, event)

    def stop_continuing(self) -> bool:
        """Let the group be read from its head next; returns whether it must be recorded before."""
        recorded_first = self.continues and bool(self.unrecorded)
        self.continues, self.more = False, True
        return recorded_first

    def position(self) -> Position | None:
        """Return which events are in memory, if the events behind them may be read; None if not."""
        if self.waiting or not self.continues or self.isolated:
            return None
        last = self.in_flight or self.unrecorded[-1]
        return (self.unrecorded[0] if self.unrecorded else last).sequence, last.sequence


@dataclass(frozen=True, slots=True)
class ReadScope:
    """What a read must know about the groups in memory."""

    excluded: Sequence[str]
    """Groups of which nothing may be read."""
    positions: Mapping[str, Position]
    """Groups of which only the events behind those in memory may be read."""
    generation: int
    """Changes when all events in memory are forgotten."""
