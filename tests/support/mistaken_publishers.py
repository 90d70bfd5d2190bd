"""Publishers and brokers with one mistake each, which the suites have to find."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from event_trio.broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome, CallRejected, Outcome, Permanent
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.source import Message
from event_trio.broker.visibility_buffer import VisibilityBuffer
from tests.support.memory_broker import MOST_BYTES, MemoryBroker, MemoryPublisher


class SharedQueue(MemoryBroker):
    """Has one queue for all subscribers, of which each event goes to one."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = dict.fromkeys(self.queues, next(iter(self.queues.values())))


class WithoutAttributes(MemoryBroker):
    """Forgets the attributes."""

    def message(self, event: OutgoingEvent, number: int) -> Message:
        return replace(super().message(event, number), attributes={})


class Rewriting(MemoryBroker):
    """Writes the body again, so that it is not the one that was sent."""

    def message(self, event: OutgoingEvent, number: int) -> Message:
        return replace(super().message(event, number), body=event.body.decode().replace(":", ": ", 1))


class Forgetting(MemoryBroker):
    """Acknowledges what it keeps in memory only."""

    async def stop(self) -> None:
        await super().stop()
        for queue in self.queues.values():
            queue.clear()


class Undeduplicating(MemoryBroker):
    """Stores every sending, though it says that it drops repeated ones."""

    def store(self, event: OutgoingEvent) -> str:
        self.seen.clear()
        return super().store(event)


class DeduplicatingById(MemoryBroker):
    """Takes an event that is sent again deliberately for the same sending."""

    def store(self, event: OutgoingEvent) -> str:
        known = any(each.partition(".")[0] == event.event_id for each in self.seen)
        return "known" if known else super().store(event)


class Front(VisibilityBuffer[None]):
    """Puts what arrives before what is there."""

    def add(self, message: Message, token: None) -> None:
        super().add(message, token)
        group = self._groups[message.group]
        group.insert(0, group.pop())


class Reordering(MemoryBroker):
    """Delivers the newest event of a group first."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = {subscriber: Front(asyncio.get_running_loop().time) for subscriber in self.queues}


class InBackground(MemoryPublisher):
    """Sends calls beside each other, so that a later one may be faster."""

    calls = 0

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        self.calls += 1
        await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.05 * (self.calls % 2), self._send, events)
        return Answered(tuple(Accepted("") for _ in events))

    def _send(self, events: Sequence[OutgoingEvent]) -> None:
        for event in events:
            self.send(event)


class AcknowledgingFirst(MemoryPublisher):
    """Acknowledges before it sends, in order; what it has not sent when the broker ends is lost."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        if (trouble := await self.check()) is not None:
            return BrokerOutage(trouble)
        asyncio.get_running_loop().call_later(0.01, self._send, events, self.broker.ends)
        return Answered(tuple(Accepted("") for _ in events))

    def _send(self, events: Sequence[OutgoingEvent], ends: int) -> None:
        if self.broker.ends == ends:
            for event in events:
                self.send(event)


class Raising(MemoryPublisher):
    """Raises failures instead of returning them."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        if not self.broker.running:
            raise ConnectionError("not connected")
        return await super().publish(events)


class Hanging(MemoryPublisher):
    """Has no deadline."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        if not self.broker.running:
            await asyncio.Event().wait()
        return await super().publish(events)


class Optimistic(MemoryPublisher):
    """Accepts events while the broker is away."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        answer = await super().publish(events)
        return Answered(tuple(Accepted("") for _ in events)) if isinstance(answer, BrokerOutage) else answer


class Healthy(MemoryPublisher):
    """Says that the topic can be used while the broker is away."""

    async def check(self) -> str | None:
        return None

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        return await super().publish(events) if self.broker.running else BrokerOutage("not connected")


class Disconnected(MemoryPublisher):
    """Does not connect again."""

    lost = False

    async def check(self) -> str | None:
        self.lost = self.lost or not self.broker.running
        return "not connected" if self.lost else await super().check()


class Blaming(MemoryPublisher):
    """Says of events that they can never be sent, where the topic does not exist."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        if self.broker.running and not self.topic_exists:
            return Answered(tuple(Permanent("unknown topic") for _ in events))
        return await super().publish(events)


class Swallowing(MemoryPublisher):
    """Accepts an entry of a call that failed."""

    def send(self, event: OutgoingEvent) -> Outcome:
        outcome = super().send(event)
        return outcome if isinstance(outcome, Accepted) else Accepted("")


class SwallowingAmongOthers(MemoryPublisher):
    """Accepts a call as a whole if some of its entries were accepted."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        answer = await super().publish(events)
        if isinstance(answer, Answered) and any(isinstance(each, Accepted) for each in answer.outcomes):
            return Answered(tuple(Accepted("") for _ in events))
        return answer


class FailuresLast(MemoryPublisher):
    """Returns the outcomes in another order than that of sending: accepted ones first."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        answer = await super().publish(events)
        if not isinstance(answer, Answered):
            return answer
        return Answered(tuple(sorted(answer.outcomes, key=lambda each: not isinstance(each, Accepted))))


class WithoutOutcomes(MemoryPublisher):
    """Returns no outcome for a call of which an entry failed."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        answer = await super().publish(events)
        failed = isinstance(answer, Answered) and not all(isinstance(each, Accepted) for each in answer.outcomes)
        return Answered(()) if failed else answer


class TooLargeIsAnOutage(MemoryPublisher):
    """Takes an event that is too large for a broker that is away."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        return BrokerOutage("reset") if _too_large(events) else await super().publish(events)


class BrokenByTooLarge(MemoryPublisher):
    """Cannot send any more after an event that was too large, because the broker has closed the connection."""

    broken = False

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        if self.broken:
            return BrokerOutage("closed")
        self.broken = _too_large(events)
        return CallRejected("too large") if self.broken else await super().publish(events)


class RefusingRepeated(MemoryPublisher):
    """Rejects a sending that the broker knows."""

    def send(self, event: OutgoingEvent) -> Outcome:
        return Permanent("known") if event.deduplication_id in self.broker.seen else super().send(event)


def _too_large(events: Sequence[OutgoingEvent]) -> bool:
    return any(len(event.body) > MOST_BYTES for event in events)
