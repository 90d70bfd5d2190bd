"""Chooses the next events to send: the head of each group and nothing behind it, groups in turn, in full batches.

It works on events read from the outbox, without a database, a broker or a clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from event_trio.backoff import Backoff
from event_trio.outbox.limits import DEFAULT_BYTES

from .group_backoff import GroupBackoff
from .pending_event import PendingEvent as PendingEvent
from .pending_group import NextEventAfter as NextEventAfter
from .pending_group import PendingGroup, Position, ReadScope
from .ready_groups import DeprioritizedGroups, ReadyGroups

# AWS: API_PublishBatch: at most ten entries, which together may have as many bytes as one message of the topic.
BATCH_ENTRIES = 10
# Older events are read again instead of sent, because an operator may have held or discarded them since. A
# discard waits so long, and for the deadline of a call. A group is read from its head as often.
FRESH_SECONDS = 5.0
MOST_DEPRIORITIZED = 1000  # groups whose calls did not succeed


class Backlog:
    """The events in memory, by group. A group stays in it while it has events that wait, are in flight or unrecorded.

    An event that is not recorded as sent looks unsent. A read therefore leaves out the groups in memory, or returns the
    events behind those in memory only. A group is in `_ready` only while it is in `_groups` and has waiting events.
    """

    def __init__(
        self,
        next_event_after: NextEventAfter = NextEventAfter.ACKNOWLEDGED,
        *,
        batch_bytes: int = DEFAULT_BYTES,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`batch_bytes` is the most bytes of one call: the topic's `MaximumMessageSize`."""
        self._confirmed_only = next_event_after is NextEventAfter.CONFIRMED
        self._batch_bytes = batch_bytes
        self._random = random
        self._groups: dict[str, PendingGroup] = {}
        self._ready = ReadyGroups()
        self._blocked: set[str] = set()
        self._backoff = GroupBackoff(random)
        self._deprioritized = DeprioritizedGroups(MOST_DEPRIORITIZED)
        self._unsendable: list[PendingEvent] = []
        self._waiting = self._generation = 0
        self.needs_read = False
        """Whether a group has nothing left to send, and the outbox may have more of it."""

    @property
    def waiting(self) -> int:
        """How many events in memory have not been sent."""
        return self._waiting

    @property
    def ready(self) -> int:
        """How many groups have an event that may be sent, if their lane allows it."""
        return len(self._ready)

    @property
    def blocked(self) -> bool:
        """Whether a group probably has more events, which can be read once its sent events are recorded."""
        return bool(self._blocked)

    @property
    def backing_off(self) -> int:
        """How many groups wait for another attempt."""
        return len(self._backoff)

    def counts(self) -> dict[str, int]:
        """Return the sizes of everything kept in memory; tests check that they are bounded."""
        return {
            "groups": len(self._groups),
            "ready": len(self._ready),
            "paused": self._ready.paused,
            "blocked": len(self._blocked),
            "backing_off": len(self._backoff),
            "deprioritized": len(self._deprioritized),
            "unsendable": len(self._unsendable),
            "waiting": self._waiting,
        }

    def begin_read(self, now: float, only: Iterable[str] | None = None) -> ReadScope:
        """Return what a read (of `only` some groups) must leave out. Its events are given to `load` with this scope."""
        self.needs_read = self.needs_read and only is not None
        excluded, positions = self._backoff.waiting(now), dict[str, Position]()
        groups = self._groups if only is None else {s: self._groups[s] for s in only if s in self._groups}
        for subject, group in groups.items():
            if now - group.head_read_at > FRESH_SECONDS and group.stop_continuing():
                self._blocked.add(subject)
            position = group.position()
            if position is None:
                excluded.append(subject)
                group.more = True
            else:
                positions[subject] = position
        return ReadScope(excluded, positions, self._generation)

    def busy(self, lane: int) -> bool:
        """Return whether the lane has events in flight or unrecorded."""
        return any(g.lane == lane and (g.in_flight or g.unrecorded) for g in self._groups.values())

    def next_retry_at(self, now: float) -> float | None:
        """Return when the next failed group may be read again, or None."""
        return self._backoff.next_expiry(now)

    def next_resume_at(self, now: float) -> float | None:
        """Return when the next throttled group may continue, or None."""
        return self._ready.next_resume_at(now)

    def load(
        self, events: Iterable[PendingEvent], read_at: float, *, window: int = 0, scope: ReadScope | None = None
    ) -> bool:
        """Add events: the events of a group one after the other, in sequence; `read_at` is when reading began.

        A group with `window` events probably has more. Groups whose last call did not succeed are sent last. Returns
        False, and adds nothing, if all events in memory were forgotten since the read began.
        """
        if scope is not None and scope.generation != self._generation:
            return False
        positions = scope.positions if scope is not None else {}
        late, group, last = set[str](), None, None
        for event in events:
            if event.subject != last:
                last = event.subject
                group = self._group_to_extend(event, read_at, positions)
                if group is not None and group.in_flight is None:
                    (late if last in self._deprioritized else self._ready).add(last)
            if group is not None:
                group.add(event, window=window)
                self._waiting += 1
        for subject in self._deprioritized.in_order(late):
            self._ready.add(subject)
        return True

    def take(self, may_send: Callable[[int], bool], now: float) -> list[PendingEvent]:
        """Take the next batch, at most one event of a group. `may_send` is asked for each lane.

        Invalid events are left out; see `take_unsendable`.
        """
        self._ready.resume(now)
        batch, put_back, room = list[PendingEvent](), list[str](), self._batch_bytes
        for _ in range(len(self._ready)):
            if len(batch) == BATCH_ENTRIES:
                break
            subject = self._ready.next()
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
            group.in_flight = group.waiting.pop(0)
            self._waiting -= 1
            if unsendable:
                self._unsendable.append(head)
                continue
            batch.append(head)
            room -= head.size
            if group.isolated:
                break
        # Groups that did not fit are first next time.
        self._ready.put_back(put_back)
        return batch

    def take_unsendable(self) -> list[PendingEvent]:
        """Take the invalid heads of groups whose turn has come; they count as in flight until they are held."""
        taken, self._unsendable = self._unsendable, []
        return taken

    def accepted(self, *events: PendingEvent) -> None:
        """The broker accepted events: they must be recorded; their groups continue as `next_event_after` says."""
        self._deprioritized.clear()
        for event in events:
            subject = event.subject
            group = self._groups[subject]
            group.acknowledged(event)
            if self._confirmed_only:
                # The next event is read once this one is published.
                self._forget_waiting(subject)
            elif group.waiting:
                self._ready.add(subject)
            elif group.more and group.continues:
                self.needs_read = True
            elif group.more:
                self._blocked.add(subject)
        self._backoff.end(events)

    def recorded(self, *events: PendingEvent) -> None:
        """The acknowledgements of the events are recorded."""
        for event in events:
            group = self._groups[event.subject]
            group.unrecorded.remove(event)
            if not group.unrecorded:
                self._forget_if_done(event.subject)

    def failed(self, event: PendingEvent, now: float, backoff: Backoff, *, isolated: bool = False) -> None:
        """Hold back the group of an event that was not accepted for a delay from `backoff`; then it is read again.

        With `isolated` its next event is sent in a call of its own.
        """
        self._backoff.add(event.subject, event.lane, now, backoff, isolated=isolated)
        self._drop_group(event.subject)

    def throttled(self, event: PendingEvent, now: float, backoff: Backoff) -> None:
        """The event was throttled: its group stays in memory and continues soon, with this event first."""
        group = self._put_back(event)
        group.throttled += 1
        self._ready.pause(event.subject, now + backoff.delay(group.throttled, self._random()))

    def isolate(self, event: PendingEvent) -> None:
        """Send the event again in a call of its own, to learn whether it caused the rejection of its call."""
        self._put_back(event).isolated = True
        self._ready.add(event.subject)

    def requeue(self, event: PendingEvent) -> None:
        """The event was not sent, for a reason other than the event: read its group again."""
        self._deprioritized.add(event.subject)
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
        for kept in (self._groups, self._ready, self._blocked, self._backoff, self._deprioritized, self._unsendable):
            kept.clear()
        self._waiting, self._generation = 0, self._generation + 1

    def clear(self) -> None:
        """Forget all waiting events, and those of a read that has begun; those in flight stay."""
        self.drop({group.lane for group in self._groups.values()}, backing_off=False)
        self._generation += 1

    def drop(self, lanes: Iterable[int], *, backing_off: bool = True) -> None:
        """Forget the waiting events of these lanes; those in flight stay."""
        gone = set(lanes)
        for subject in [s for s, g in self._groups.items() if g.lane in gone]:
            self._groups[subject].continues = False
            self._forget_waiting(subject)
            self._forget_if_done(subject)
        if backing_off:
            self._backoff.drop(gone)

    def _group_to_extend(
        self, event: PendingEvent, read_at: float, positions: Mapping[str, Position]
    ) -> PendingGroup | None:
        """The group to which events read from this one on belong; None if they must be read again."""
        subject = event.subject
        group, position = self._groups.get(subject), positions.get(subject)
        if group is None and position is None:
            group = PendingGroup(event.lane, read_at, read_at, isolated=self._backoff.in_isolation(subject))
            group.continues = not self._confirmed_only
            self._groups[subject] = group
        elif group is None or position is None or (now_at := group.position()) is None or now_at[1] != position[1]:
            # Its events failed, or were recorded or dropped, since the read began.
            self.needs_read = True
            return None
        group.read_at = read_at
        return group

    def _put_back(self, event: PendingEvent) -> PendingGroup:
        group = self._groups[event.subject]
        group.put_back(event)
        self._waiting += 1
        return group

    def _drop_group(self, subject: str) -> None:
        group = self._groups[subject]
        group.in_flight, group.continues = None, False
        self._forget_waiting(subject)
        self._forget_if_done(subject)

    def _forget_waiting(self, subject: str) -> None:
        waiting = self._groups[subject].waiting
        self._waiting -= len(waiting)
        waiting.clear()
        self._ready.remove(subject)

    def _forget_if_done(self, subject: str) -> None:
        group = self._groups[subject]
        if group.done:
            del self._groups[subject]
            self._blocked.discard(subject)
            self.needs_read = self.needs_read or group.more
