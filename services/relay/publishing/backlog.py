"""Chooses the next events to send: the head of each group and nothing behind it, groups in turn, in full batches.

It works on events read from the outbox, without a database, a broker or a clock.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from event_trio.backoff import Backoff
from event_trio.outbox.limits import DEFAULT_BYTES

from .group_backoff import GroupBackoff
from .pending_event import PendingEvent as PendingEvent

# AWS: API_PublishBatch: at most ten entries, which together may have as many bytes as one message of the topic.
BATCH_ENTRIES = 10


class NextEventAfter(StrEnum):
    """When the next event of a group may be sent: after the acknowledgement, or after the confirmation."""

    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"


@dataclass(slots=True)
class _PendingGroup:
    lane: int
    read_at: float
    isolated: bool = False
    waiting: deque[PendingEvent] = field(default_factory=deque)
    in_flight: PendingEvent | None = None
    unrecorded: int = 0
    throttled: int = 0
    more: bool = False


# Events read longer ago are read again instead of sent, because an operator may have held or discarded them since. A
# discard waits this long, and for the deadline of a call.
FRESH_SECONDS = 5.0
# How many groups whose calls did not succeed are remembered.
MOST_DEPRIORITIZED = 1000


class Backlog:
    """The events in memory, by group. A group stays in it while it has events that wait, are in flight or unrecorded.

    Such a group is excluded from reads, because an event that is acknowledged but not recorded looks unsent.
    A group is in `_ready` or `_paused` only while it is in `_groups` and has waiting events.
    """

    def __init__(
        self,
        next_event_after: NextEventAfter = NextEventAfter.ACKNOWLEDGED,
        *,
        batch_bytes: int = DEFAULT_BYTES,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`batch_bytes` is the most bytes of one call: the topic's `MaximumMessageSize`."""
        self._next_event_after = next_event_after
        self._batch_bytes = batch_bytes
        self._random = random
        self._groups: dict[str, _PendingGroup] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._paused: dict[str, float] = {}
        self._backoff = GroupBackoff(random)
        self._deprioritized: OrderedDict[str, None] = OrderedDict()
        self._unsendable: list[PendingEvent] = []
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many events in memory have not been sent."""
        return self._waiting

    @property
    def in_hand(self) -> int:
        """How many groups are in memory."""
        return len(self._groups)

    @property
    def ready(self) -> int:
        """How many groups have an event that may be sent, if their lane allows it."""
        return len(self._ready)

    @property
    def wants_more(self) -> bool:
        """Whether a group probably has more events, which can be read once its sent events are recorded."""
        return any(g.more and not g.waiting and g.in_flight is None and g.unrecorded for g in self._groups.values())

    @property
    def backing_off(self) -> int:
        """How many groups wait for another attempt."""
        return len(self._backoff)

    def counts(self) -> dict[str, int]:
        """Return the sizes of everything kept in memory; tests check that they are bounded."""
        return {
            "groups": len(self._groups),
            "ready": len(self._ready),
            "paused": len(self._paused),
            "backing_off": len(self._backoff),
            "deprioritized": len(self._deprioritized),
            "unsendable": len(self._unsendable),
            "waiting": self._waiting,
        }

    def excluded(self, now: float) -> list[str]:
        """Return the groups not to be read: those in memory, and those whose delay is not over."""
        return [*self._groups, *self._backoff.waiting(now)]

    def busy(self, lane: int) -> bool:
        """Return whether the lane has events in flight or unrecorded."""
        return any(g.lane == lane and (g.in_flight or g.unrecorded) for g in self._groups.values())

    def next_retry_at(self, now: float) -> float | None:
        """Return when the next failed group may be read again, or None."""
        return self._backoff.next_expiry(now)

    def next_resume_at(self, now: float) -> float | None:
        """Return when the next throttled group may continue, or None."""
        return min((until for until in self._paused.values() if until > now), default=None)

    def load(self, events: Iterable[PendingEvent], read_at: float, *, window: int = 0) -> None:
        """Add events: per group in sequence order, from its head; `read_at` is when reading began.

        A group with `window` events probably has more. Groups whose last call did not succeed are sent last.
        """
        fresh: set[str] = set()
        for event in events:
            subject = event.subject
            if subject not in self._groups:
                self._groups[subject] = _PendingGroup(event.lane, read_at, isolated=self._backoff.in_isolation(subject))
                fresh.add(subject)
                if subject not in self._deprioritized:
                    self._ready[subject] = None
            if subject in fresh:
                group = self._groups[subject]
                group.waiting.append(event)
                group.more = len(group.waiting) == window
                self._waiting += 1
        for subject in self._deprioritized:
            if subject in fresh:
                self._ready[subject] = None

    def take(self, may_send: Callable[[int], bool], now: float) -> list[PendingEvent]:
        """Take the next batch, at most one event of a group. `may_send` is asked for each lane.

        Invalid events are left out; see `take_unsendable`.
        """
        for subject in [s for s, until in self._paused.items() if until <= now]:
            del self._paused[subject]
            self._ready[subject] = None
        batch: list[PendingEvent] = []
        room = self._batch_bytes
        put_back: list[str] = []
        for _ in range(len(self._ready)):
            if len(batch) == BATCH_ENTRIES:
                break
            subject, _ = self._ready.popitem(last=False)
            group = self._groups[subject]
            if now - group.read_at > FRESH_SECONDS:
                self._drop_group(subject)
                continue
            head = group.waiting[0]
            unsendable = head.fault is not None
            unfit = head.size > room or (group.isolated and bool(batch))
            if not may_send(group.lane) or (unfit and not unsendable):
                put_back.append(subject)
                continue
            group.in_flight = group.waiting.popleft()
            self._waiting -= 1
            if unsendable:
                self._unsendable.append(head)
                continue
            batch.append(head)
            room -= head.size
            if group.isolated:
                break
        # Groups that did not fit are first next time.
        for subject in reversed(put_back):
            self._ready[subject] = None
            self._ready.move_to_end(subject, last=False)
        return batch

    def take_unsendable(self) -> list[PendingEvent]:
        """Take the invalid heads of groups whose turn has come; they count as in flight until they are held."""
        taken, self._unsendable = self._unsendable, []
        return taken

    def accepted(self, event: PendingEvent) -> None:
        """The broker accepted the event: it must be recorded, and its group continues as `next_event_after` says."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.unrecorded += 1
        group.throttled = 0
        group.isolated = False
        self._backoff.end(event.subject)
        self._deprioritized.clear()
        if self._next_event_after is NextEventAfter.CONFIRMED:
            # The next event is read once this one is published.
            self._forget_waiting(event.subject)
        elif group.waiting:
            self._ready[event.subject] = None

    def recorded(self, event: PendingEvent) -> None:
        """The acknowledgement of the event is recorded."""
        group = self._groups[event.subject]
        group.unrecorded -= 1
        self._forget_if_done(event.subject)

    def failed(self, event: PendingEvent, now: float, backoff: Backoff, *, isolated: bool = False) -> None:
        """Hold back the group of an event that was not accepted for a delay from `backoff`; then it is read again.

        With `isolated` its next event is sent in a call of its own.
        """
        self._backoff.add(event.subject, event.lane, now, backoff, isolated=isolated)
        self._drop_group(event.subject)

    def throttled(self, event: PendingEvent, now: float, backoff: Backoff) -> None:
        """The event was throttled: its group stays in memory and continues soon, with this event first."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.throttled += 1
        group.waiting.appendleft(event)
        self._waiting += 1
        self._paused[event.subject] = now + backoff.delay(group.throttled, self._random())

    def isolate(self, event: PendingEvent) -> None:
        """Send the event again in a call of its own, to learn whether it caused the rejection of its call."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.isolated = True
        group.waiting.appendleft(event)
        self._waiting += 1
        self._ready[event.subject] = None

    def requeue(self, event: PendingEvent) -> None:
        """The event was not sent, for a reason other than the event: read its group again."""
        self._deprioritized[event.subject] = None
        self._deprioritized.move_to_end(event.subject)
        if len(self._deprioritized) > MOST_DEPRIORITIZED:
            self._deprioritized.popitem(last=False)
        self._drop_group(event.subject)

    def abandon(self, event: PendingEvent) -> bool:
        """Requeue the event if it is still in flight after its call has ended; True if it was."""
        group = self._groups.get(event.subject)
        if group is None or group.in_flight is not event:
            return False
        self.requeue(event)
        return True

    def reset(self) -> None:
        """Forget all events, including those in flight."""
        for kept in (self._groups, self._ready, self._paused, self._backoff, self._deprioritized, self._unsendable):
            kept.clear()
        self._waiting = 0

    def clear(self) -> None:
        """Forget all waiting events; those in flight stay."""
        self.drop({group.lane for group in self._groups.values()}, backing_off=False)

    def drop(self, lanes: Iterable[int], *, backing_off: bool = True) -> None:
        """Forget the waiting events of these lanes; those in flight stay."""
        gone = set(lanes)
        for subject in [s for s, g in self._groups.items() if g.lane in gone]:
            self._forget_waiting(subject)
            self._forget_if_done(subject)
        if backing_off:
            self._backoff.drop(gone)

    def _drop_group(self, subject: str) -> None:
        self._groups[subject].in_flight = None
        self._forget_waiting(subject)
        self._forget_if_done(subject)

    def _forget_waiting(self, subject: str) -> None:
        group = self._groups[subject]
        self._waiting -= len(group.waiting)
        group.waiting.clear()
        self._ready.pop(subject, None)
        self._paused.pop(subject, None)

    def _forget_if_done(self, subject: str) -> None:
        group = self._groups[subject]
        if not group.waiting and group.in_flight is None and group.unrecorded == 0:
            del self._groups[subject]
