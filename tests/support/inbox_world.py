"""A consumer without a broker: queues in memory that deliver at least once, a real inbox, time that can be moved."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.broker.queue import Message
from event_trio.clock import SystemClock
from event_trio.consumer.database_breaker import DatabaseBreaker
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.event import Event
from event_trio.consumer.maintenance import InboxMaintenance
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.outcome import RetryScheduled, Unavailable
from event_trio.consumer.pipeline.pipeline import Pipeline
from event_trio.consumer.policies import FailurePolicy
from event_trio.consumer.router import Router
from event_trio.consumer.sources.deferred import DeferredOptions, DeferredWorker
from event_trio.consumer.telemetry import Telemetry
from event_trio.envelope import Envelope
from event_trio.inbox.claim_at_once import Writes
from event_trio.inbox.dead_letters import By, DeadLetters, Selection
from event_trio.signals import Signals
from tests.support.consuming import CONSUMER, Counted
from tests.support.events import envelope_of

RETENTION_HOURS = 72.0
TABLES = "effect, deferred_message, processed_message, started_message, operator_action"
BY = By("model", "because")
WRITE = (
    "INSERT INTO effect (event_id, subject, sequence, stale) SELECT $1, $2, $3, outcome = 'handled_stale' FROM claimed"
)


class Crash(BaseException):
    """The process dies: nothing that it had not committed is left."""


class MovedClock(SystemClock):
    """The machine's clock, ahead by what the world decides."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class World:
    """What was sent, what is still to be delivered, and the consumer."""

    sessions: async_sessionmaker[AsyncSession]
    owner: asyncpg.Connection
    policy: FailurePolicy
    as_data: bool = False
    """Whether the handler returns its writes, instead of executing them."""
    queues: dict[str, list[Envelope]] = field(default_factory=lambda: defaultdict(list))
    sent: dict[str, Envelope] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    redriven: set[str] = field(default_factory=set)
    discarded: set[str] = field(default_factory=set)
    pruned: bool = False
    crash: bool = False

    def __post_init__(self) -> None:
        self.clock, signals = MovedClock(), Signals(kept=10)
        router, registry = Router(), CollectorRegistry()
        if self.as_data:
            router.handle(Counted, writes=self._writes, policy=self.policy)
        else:
            router.handle(Counted, self._record, policy=self.policy)
        metrics, breaker = ConsumerMetrics(registry), DatabaseBreaker(self.sessions)
        telemetry = Telemetry(router, metrics, signals, self.clock)
        self.pipeline = Pipeline(
            CONSUMER, router, self.sessions, breaker, telemetry, self.clock, retention_hours=RETENTION_HOURS
        )
        self.deferred = DeferredWorker(self.sessions, self.pipeline, breaker, signals, DeferredOptions(concurrency=2))
        self.maintenance = InboxMaintenance(CONSUMER, self.sessions, metrics, signals, retention_hours=RETENTION_HOURS)
        self.letters = DeadLetters(self.sessions, CONSUMER)

    async def clear(self) -> None:
        """Begin with nothing."""
        await self.owner.execute(f"TRUNCATE {TABLES}")

    def send(self, group: str, failures: int) -> None:
        """The next event of the group, whose handler will fail so many times."""
        sequence = 1 + sum(1 for event in self.sent.values() if event.subject == group)
        event = envelope_of(Counted(), subject=group, sequence=sequence, time=self.clock.now())
        self.sent[str(event.id)] = event
        self.failing[str(event.id)] = failures
        self.queues[group].append(event)

    def send_again(self, group: str, number: int) -> None:
        """The broker or the publisher repeats an event of the group."""
        known = [event for event in self.sent.values() if event.subject == group]
        if known:
            self.queues[group].append(known[number % len(known)])

    async def deliver(self, group: str, *, crash: bool, lose_acknowledgement: bool) -> None:
        """What is first in the group's queue is processed, and leaves it if that came to an end."""
        if not self.queues[group]:
            return
        event = self.queues[group][0]
        message = Message("m", "r", event.to_bytes().decode(), group, str(event.id), "1", 1, self.clock.now())
        self.crash = crash
        try:
            outcome = await self.pipeline.process(QueueDelivery.of(message, CONSUMER))
        except Crash:
            return
        finally:
            self.crash = False
        if not lose_acknowledgement and not isinstance(outcome, RetryScheduled | Unavailable):
            self.queues[group].pop(0)

    async def run_due(self, *, crash: bool) -> None:
        """Run what is due once."""
        self.crash = crash
        try:
            await self.deferred.run_due()
        except Crash:
            pass
        finally:
            self.crash = False

    async def pass_hours(self, hours: float) -> None:
        """Time goes by: for the clock, and for every moment that the database keeps."""
        self.clock.ahead += timedelta(hours=hours)
        back = f"- interval '{hours} hours'"
        await self.owner.execute(
            f"UPDATE processed_message SET processed_at = processed_at {back};"
            f"UPDATE deferred_message SET due_at = due_at {back}, taken_until = taken_until {back}"
        )

    async def redrive(self, group: str) -> None:
        """An operator lets the group's dead letters run again, but for those that are too old.

        Of these it is not known any more whether they were handled: whoever lets them run may have the effect twice.
        """
        too_old = Selection(group=group, reason="too_old")
        self.discarded |= {row.event_id for row in await self.letters.discard(too_old, BY)}
        self.redriven |= {
            row.event_id for row in await self.letters.redrive(Selection(group=group), BY, per_second=None)
        }

    async def discard(self, group: str) -> None:
        """An operator gives the oldest of the group's dead letters up."""
        self.discarded |= {row.event_id for row in await self.letters.discard(Selection(group=group), BY, limit=1)}

    async def prune(self) -> None:
        """Prune the inbox."""
        self.pruned = await self.maintenance.prune() > 0 or self.pruned

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        """The rows of a query, as the owner."""
        return [tuple(row) for row in await self.owner.fetch(query)]

    async def settle(self) -> None:
        """Everything is healed, delivered and run."""
        self.failing.clear()
        for group in list(self.queues):
            while self.queues[group]:
                await self.deliver(group, crash=False, lose_acknowledgement=False)
        for group in {event.subject for event in self.sent.values()}:
            await self.redrive(group)
        for _ in range(200):
            await self.pass_hours(10)
            if not await self.deferred.run_due():
                return
        raise AssertionError("deferred messages never complete")

    async def _record(self, session: AsyncSession, event: Event[Counted], _: None) -> None:
        if self.failing[str(event.id)] > 0:
            self.failing[str(event.id)] -= 1
            raise RuntimeError("not yet")
        values = {
            "id": str(event.id),
            "subject": event.envelope.subject,
            "sequence": event.envelope.sequence_number,
            "stale": event.stale,
        }
        await session.execute(
            text("INSERT INTO effect (event_id, subject, sequence, stale) VALUES (:id, :subject, :sequence, :stale)"),
            values,
        )
        if self.crash:
            raise Crash

    def _writes(self, event: Event[Counted], _: None) -> Writes:
        if self.failing[str(event.id)] > 0:
            self.failing[str(event.id)] -= 1
            raise RuntimeError("not yet")
        if self.crash:
            raise Crash
        return Writes({"written": WRITE}, event.id, event.envelope.subject, event.envelope.sequence_number)
