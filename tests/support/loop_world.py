"""The relay's real loop, dispatcher and backlog between an outbox in memory and a broker that is a function."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from prometheus_client import CollectorRegistry

from event_trio.lifecycle import Supervisor
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.leases.lanes import Lanes
from services.relay.metrics import RelayMetrics
from services.relay.publishing.backlog import Backlog, PendingEvent
from services.relay.publishing.dispatcher import Dispatcher
from services.relay.publishing.outbox_reader import EVENTS, WINDOW, OutboxPage, OutboxReader
from services.relay.publishing.outbox_updates import Acknowledgement, Failure, OutboxUpdates
from services.relay.publishing.outcome import Accepted, Answered, CallOutcome
from services.relay.publishing.publisher import Publisher
from services.relay.publishing.relay import Relay
from tests.support.virtual_time import VirtualClock

Broker = Callable[[Sequence[PendingEvent]], Awaitable[CallOutcome]]


def accept(events: Sequence[PendingEvent]) -> Answered:
    """The answer of a broker that accepts everything."""
    return Answered(tuple(Accepted(f"m-{event.id}") for event in events))


@dataclass
class MemoryOutbox:
    """The reader and the updates of an outbox in memory."""

    groups: dict[str, deque[PendingEvent]] = field(default_factory=dict)
    sent: list[PendingEvent] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    """Held subjects, with the reason."""
    attempts: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    fails: list[BaseException] = field(default_factory=list)
    """Errors that the next writes raise."""
    _subjects: dict[int, str] = field(default_factory=dict)

    def record(self, *subjects: str, each: int = 1) -> None:
        """Record events for these groups."""
        for subject in subjects:
            for _ in range(each):
                number = len(self._subjects) + 1
                self._subjects[number] = subject
                event = PendingEvent(
                    number, f"e-{number}", subject, hash(subject) % LANES, b"{}", {}, 2, sequence=number
                )
                self.groups.setdefault(subject, deque()).append(event)

    async def read(
        self, lanes: Sequence[int], *, excluded: Sequence[str], positions: Mapping[str, tuple[int, int]]
    ) -> OutboxPage:
        self.reads += 1
        await asyncio.sleep(0.001)
        unknown, found = set(excluded) | set(self.held), list[PendingEvent]()
        for subject, waiting in self.groups.items():
            if subject not in unknown:
                _, last = positions.get(subject, (0, 0))
                found += islice((event for event in waiting if event.sequence > last), WINDOW)
            if len(found) >= EVENTS:
                break
        return OutboxPage(tuple(found[:EVENTS]), exhausted=len(found) < EVENTS)

    async def mark_sent(self, acknowledgements: Sequence[Acknowledgement]) -> list[float]:
        await self._write()
        for acknowledgement in acknowledgements:
            subject = self._subjects[acknowledgement.id]
            waiting = self.groups.get(subject)
            if waiting and waiting[0].id == acknowledgement.id:
                self.sent.append(waiting.popleft())
                if not waiting:
                    del self.groups[subject]
        return []

    async def mark_failed(self, failures: Sequence[Failure]) -> None:
        await self._write()
        for failure in failures:
            self.attempts[self._subjects[failure.id]] += 1

    async def mark_held(self, failures: Sequence[Failure]) -> None:
        await self._write()
        for failure in failures:
            self.held[self._subjects[failure.id]] = failure.error

    async def _write(self) -> None:
        await asyncio.sleep(0.001)
        if self.fails:
            raise self.fails.pop(0)


class OurLanes:
    """All lanes belong to this relay until it leaves."""

    def __init__(self) -> None:
        self.left = 0

    def owned(self) -> list[int]:
        return list(range(LANES))

    def may_send(self, lane: int) -> bool:
        return True

    def owns(self, lane: int) -> bool:
        return True

    def token(self, lane: int) -> int:
        return 1

    def on_change(self, tell: Callable[[set[int]], None]) -> None:
        pass

    async def leave(self) -> None:
        self.left += 1


@dataclass
class Made:
    """A relay and its parts."""

    relay: Relay
    outbox: MemoryOutbox
    lanes: OurLanes
    backlog: Backlog
    metrics: RelayMetrics
    signals: Signals
    dispatcher: Dispatcher


def make(broker: Broker, *, in_flight: int = 8) -> Made:
    """Create a relay on an empty outbox."""
    outbox, lanes, backlog = MemoryOutbox(), OurLanes(), Backlog()
    metrics, signals, clock = RelayMetrics(CollectorRegistry()), Signals(), VirtualClock()

    class Publishing:
        async def publish(self, events: Sequence[PendingEvent]) -> CallOutcome:
            return await broker(events)

    dispatcher = Dispatcher(
        reader=cast(OutboxReader, outbox),
        updates=cast(OutboxUpdates, outbox),
        lanes=lanes,
        backlog=backlog,
        clock=clock,
        metrics=metrics,
    )
    relay = Relay(
        dispatcher,
        cast(Publisher, Publishing()),
        cast(Lanes, lanes),
        backlog,
        calls_in_flight=in_flight,
        is_listening=lambda: True,
        clock=clock,
        metrics=metrics,
        signals=signals,
    )
    return Made(relay, outbox, lanes, backlog, metrics, signals, dispatcher)


@asynccontextmanager
async def running(made: Made) -> AsyncIterator[Supervisor]:
    """Run the loop under a supervisor, which restarts it when it fails."""
    supervisor = Supervisor([made.relay], drain_seconds=10, signals=made.signals)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def until(done: Callable[[], bool], *, seconds: float) -> float:
    """Wait for a condition in virtual time; returns how long that took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - virtual time: looking costs nothing
            await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time() - began
