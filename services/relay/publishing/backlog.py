"""Which event may go next: the head of each group and nothing behind it, groups in turn, in full batches.

Everything here is arithmetic on what was read from the outbox: no database, no broker, no clock of its own.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from shared.retry import Backoff

# AWS: API_PublishBatch: ten entries, 256 KiB in all, attributes included.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024


class Release(StrEnum):
    """When the next event of a group may go."""

    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is recorded and not yet sent, as the outbox has it."""

    id: int
    event_id: str
    subject: str
    lane: int
    body: bytes
    attributes: dict[str, str]
    size: int
    republished: int = 0

    @property
    def deduplication_id(self) -> str:
        """The event's id; after a deliberate republish another one, or FIFO deduplication would swallow it."""
        return f"{self.event_id}.{self.republished}" if self.republished else self.event_id


@dataclass(slots=True)
class _Group:
    lane: int
    read_at: float
    waiting: deque[PendingEvent] = field(default_factory=deque)
    in_flight: PendingEvent | None = None
    unrecorded: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Rest:
    lane: int
    until: float
    failures: int


# What was read so long ago is read again rather than sent: an operator may have held or discarded it since, and who
# discards waits that long (and a call's deadline) for whatever may still be under way.
FRESH_SECONDS = 5.0
# A group that was to be tried again, and of which nothing was read since, is somebody else's affair by now.
FORGET_AFTER_SECONDS = 600.0


class Backlog:
    """The events in hand. A group is in it as long as anything of it waits, is in flight or is not yet recorded.

    A group that is in it must not be read again (`known`): what was acknowledged but not recorded would look unsent.
    """

    def __init__(self, release: Release = Release.ACKNOWLEDGED, *, random: Callable[[], float] = random.random) -> None:
        self._release = release
        self._random = random
        self._groups: dict[str, _Group] = {}
        self._ready: deque[str] = deque()
        self._resting: dict[str, _Rest] = {}
        self._alone: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many events in hand have not been sent."""
        return sum(len(group.waiting) for group in self._groups.values())

    @property
    def in_hand(self) -> int:
        """How many groups are in hand, and so not read again."""
        return len(self._groups)

    @property
    def ready(self) -> int:
        """About how many groups have an event that may go; never fewer than there are."""
        return len(self._ready)

    @property
    def hungry(self) -> bool:
        """Whether a group has probably more events to read, and only waits until what was sent of it is recorded."""
        return any(g.more and not g.waiting and g.in_flight is None and g.unrecorded for g in self._groups.values())

    @property
    def resting(self) -> int:
        """How many groups wait for another attempt."""
        return len(self._resting)

    def known(self, now: float) -> list[str]:
        """The groups not to be read: those in hand, and those whose wait is not over."""
        for subject in [s for s, rest in self._resting.items() if rest.until < now - FORGET_AFTER_SECONDS]:
            if subject not in self._groups:
                del self._resting[subject]
        return [*self._groups, *(subject for subject, rest in self._resting.items() if rest.until > now)]

    def busy(self, lane: int) -> bool:
        """Whether anything of that lane is in flight or not yet recorded."""
        return any(g.lane == lane and (g.in_flight or g.unrecorded) for g in self._groups.values())

    def wakes_at(self, now: float) -> float | None:
        """When the next resting group may be read again, if one rests."""
        return min((rest.until for rest in self._resting.values() if rest.until > now), default=None)

    def load(self, events: Iterable[PendingEvent], read_at: float, *, window: int = 0) -> None:
        """Take in events: per group in sequence order, from its head on; `read_at` is when reading began.

        A group of which the read took `window` events has probably more.
        """
        fresh: set[str] = set()
        for event in events:
            if event.subject not in self._groups:
                self._groups[event.subject] = _Group(event.lane, read_at)
                self._ready.append(event.subject)
                fresh.add(event.subject)
            if event.subject in fresh:
                group = self._groups[event.subject]
                group.waiting.append(event)
                group.more = len(group.waiting) == window

    def take(self, may_send: Callable[[int], bool], now: float) -> list[PendingEvent]:
        """The next batch, at most one event of a group; empty when nothing may go. `may_send` asks for a lane."""
        batch: list[PendingEvent] = []
        room = BATCH_BYTES
        put_back: list[str] = []
        for _ in range(len(self._ready)):
            if len(batch) == BATCH_ENTRIES:
                break
            subject = self._ready.popleft()
            group = self._groups.get(subject)
            if group is None or not group.waiting or group.in_flight:
                continue
            if now - group.read_at > FRESH_SECONDS:
                self._set_down(subject)
                continue
            head = group.waiting[0]
            alone = subject in self._alone
            if not may_send(group.lane) or head.size > room or (alone and batch):
                put_back.append(subject)
                continue
            group.in_flight = group.waiting.popleft()
            batch.append(head)
            room -= head.size
            if alone:
                break
        # Whoever did not fit goes first next time.
        self._ready.extendleft(reversed(put_back))
        return batch

    def accepted(self, event: PendingEvent) -> None:
        """The broker has it: it must be recorded, and its group may go on as the release says."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.unrecorded += 1
        self._resting.pop(event.subject, None)
        self._alone.discard(event.subject)
        if self._release is Release.CONFIRMED:
            # What comes next is read again once the outbox says that this one is published.
            group.waiting.clear()
        elif group.waiting:
            self._ready.append(event.subject)

    def recorded(self, event: PendingEvent) -> None:
        """The outbox knows that it was sent."""
        group = self._groups[event.subject]
        group.unrecorded -= 1
        self._forget_if_done(event.subject)

    def failed(self, event: PendingEvent, now: float, backoff: Backoff) -> None:
        """It was not accepted: its group rests as `backoff` says and is then read afresh."""
        subject = event.subject
        rest = self._resting.get(subject)
        failures = rest.failures + 1 if rest else 1
        wait = backoff.delay(failures, self._random())
        self._resting[subject] = _Rest(event.lane, now + wait, failures)
        self._set_down(subject)

    def isolate(self, event: PendingEvent) -> None:
        """Its call was refused: it goes again in a call of its own, to learn whether it is to blame."""
        group = self._groups[event.subject]
        group.in_flight = None
        group.waiting.appendleft(event)
        self._alone.add(event.subject)
        self._ready.append(event.subject)

    def put_down(self, event: PendingEvent) -> None:
        """Its call came to nothing through no fault of its own: its group is to be read again."""
        self._set_down(event.subject)

    def clear(self) -> None:
        """Forget all that waits; what is in flight still comes back."""
        self.drop({group.lane for group in self._groups.values()})

    def drop(self, lanes: Iterable[int]) -> None:
        """Forget what waits in lanes that are no longer ours; what is in flight still comes back."""
        gone = set(lanes)
        for subject in [s for s, g in self._groups.items() if g.lane in gone]:
            self._groups[subject].waiting.clear()
            self._forget_if_done(subject)
        for subject in [s for s, rest in self._resting.items() if rest.lane in gone]:
            del self._resting[subject]

    def _set_down(self, subject: str) -> None:
        group = self._groups[subject]
        group.in_flight = None
        group.waiting.clear()
        self._forget_if_done(subject)

    def _forget_if_done(self, subject: str) -> None:
        group = self._groups[subject]
        if not group.waiting and group.in_flight is None and group.unrecorded == 0:
            del self._groups[subject]
