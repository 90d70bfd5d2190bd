"""Which event may go next: the head of each group and nothing behind it, groups in turn, in full batches.

Everything here is arithmetic on what was read from the outbox: no database, no broker, no clock of its own.
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

# AWS: API_PublishBatch: ten entries, and in all, attributes included, as many bytes as the topic takes for one.
BATCH_ENTRIES = 10


class NextEventAfter(StrEnum):
    """When the next event of a group may go."""

    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"


@dataclass(slots=True)
class _Group:
    lane: int
    read_at: float
    isolated: bool = False
    waiting: deque[PendingEvent] = field(default_factory=deque)
    in_flight: PendingEvent | None = None
    unrecorded: int = 0
    throttled: int = 0
    more: bool = False


# What was read so long ago is read again rather than sent: an operator may have held or discarded it since, and who
# discards waits that long (and a call's deadline) for whatever may still be under way.
FRESH_SECONDS = 5.0
# So many groups whose calls came to nothing are remembered.
MOST_DEPRIORITIZED = 1000


class Backlog:
    """The events in hand. A group is in it as long as anything of it waits, is in flight or is not yet recorded.

    A group that is in it must not be read again (`excluded`): what was acknowledged but not recorded would look unsent.
    A group is in `_ready` or `_paused` only while it is in `_groups` and something of it waits.
    """

    def __init__(
        self,
        next_event_after: NextEventAfter = NextEventAfter.ACKNOWLEDGED,
        *,
        batch_bytes: int = DEFAULT_BYTES,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`batch_bytes` is the most that one call may carry: the topic's `MaximumMessageSize`."""
        self._next_event_after = next_event_after
        self._batch_bytes = batch_bytes
        self._random = random
        self._groups: dict[str, _Group] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._paused: dict[str, float] = {}
        self._backoff = GroupBackoff(random)
        self._deprioritized: OrderedDict[str, None] = OrderedDict()
        self._unsendable: list[PendingEvent] = []
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many events in hand have not been sent."""
        return self._waiting

    @property
    def in_hand(self) -> int:
        """How many groups are in hand, and so not read again."""
        return len(self._groups)

    @property
    def ready(self) -> int:
        """How many groups have an event that may go, if their lane may."""
        return len(self._ready)

    @property
    def wants_more(self) -> bool:
        """Whether a group has probably more events to read, and only waits until what was sent of it is recorded."""
        return any(g.more and not g.waiting and g.in_flight is None and g.unrecorded for g in self._groups.values())

    @property
    def backing_off(self) -> int:
        """How many groups wait for another attempt."""
        return len(self._backoff)

    def counts(self) -> dict[str, int]:
        """The sizes of all that is kept, to show that it is bounded."""
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
        """The groups not to be read: those in hand, and those whose wait is not over."""
        return [*self._groups, *self._backoff.waiting(now)]

    def busy(self, lane: int) -> bool:
        """Whether anything of that lane is in flight or not yet recorded."""
        return any(g.lane == lane and (g.in_flight or g.unrecorded) for g in self._groups.values())

    def next_retry_at(self, now: float) -> float | None:
        """When the next backing_off group may be read again, if one rests."""
        return self._backoff.next_expiry(now)

    def next_resume_at(self, now: float) -> float | None:
        """When the next throttled group may go on, if one waits for that."""
        return min((until for until in self._paused.values() if until > now), default=None)

    def load(self, events: Iterable[PendingEvent], read_at: float, *, window: int = 0) -> None:
        """Take in events: per group in sequence order, from its head on; `read_at` is when reading began.

        A group of which the read took `window` events has probably more. Whose last call came to nothing goes last.
        """
        fresh: set[str] = set()
        for event in events:
            subject = event.subject
            if subject not in self._groups:
                self._groups[subject] = _Group(event.lane, read_at, isolated=self._backoff.in_isolation(subject))
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
        """The next batch, at most one event of a group; `may_send` asks for a lane. What is at fault is left out."""
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
        # Whoever did not fit goes first next time.
        for subject in reversed(put_back):
            self._ready[subject] = None
            self._ready.move_to_end(subject, last=False)
        return batch

    def take_unsendable(self) -> list[PendingEvent]:
        """The heads of groups that came to their turn and cannot be sent; they are in flight, to be held."""
        taken, self._unsendable = self._unsendable, []
        return taken

    def accepted(self, event: PendingEvent) -> None:
        """The broker has it: it must be recorded, and its group may go on as the release says."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.unrecorded += 1
        group.throttled = 0
        group.isolated = False
        self._backoff.end(event.subject)
        self._deprioritized.clear()
        if self._next_event_after is NextEventAfter.CONFIRMED:
            # What comes next is read again once the outbox says that this one is published.
            self._forget_waiting(event.subject)
        elif group.waiting:
            self._ready[event.subject] = None

    def recorded(self, event: PendingEvent) -> None:
        """The outbox knows that it was sent."""
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
        """It was too much at once: its group stays in hand and goes on soon, with this event first."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.throttled += 1
        group.waiting.appendleft(event)
        self._waiting += 1
        self._paused[event.subject] = now + backoff.delay(group.throttled, self._random())

    def isolate(self, event: PendingEvent) -> None:
        """Its call was refused: it goes again in a call of its own, to learn whether it is to blame."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.isolated = True
        group.waiting.appendleft(event)
        self._waiting += 1
        self._ready[event.subject] = None

    def requeue(self, event: PendingEvent) -> None:
        """Its call came to nothing through no fault of its own: its group is to be read again."""
        self._deprioritized[event.subject] = None
        self._deprioritized.move_to_end(event.subject)
        if len(self._deprioritized) > MOST_DEPRIORITIZED:
            self._deprioritized.popitem(last=False)
        self._drop_group(event.subject)

    def abandon(self, event: PendingEvent) -> bool:
        """Put it down if it is still in flight: nobody came to an end with it. True if it was."""
        group = self._groups.get(event.subject)
        if group is None or group.in_flight is not event:
            return False
        self.requeue(event)
        return True

    def reset(self) -> None:
        """Forget everything, what is in flight too: whoever begins anew knows nothing of it."""
        for kept in (self._groups, self._ready, self._paused, self._backoff, self._deprioritized, self._unsendable):
            kept.clear()
        self._waiting = 0

    def clear(self) -> None:
        """Forget all that waits; what is in flight still comes back."""
        self.drop({group.lane for group in self._groups.values()}, backing_off=False)

    def drop(self, lanes: Iterable[int], *, backing_off: bool = True) -> None:
        """Forget what waits in lanes that are no longer ours; what is in flight still comes back."""
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
