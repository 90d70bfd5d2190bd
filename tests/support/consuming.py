"""A consumer whose handler records its effects in a table without a unique constraint, which would hide duplicates."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import asyncpg
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.backoff import Backoff
from event_trio.broker.queue import Message, Queue
from event_trio.clock import SystemClock
from event_trio.consumer.database_breaker import DatabaseBreaker
from event_trio.consumer.decoders import Decoder, cloud_events, decode
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.event import Event
from event_trio.consumer.isolation import Isolation
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.payloads import PayloadReader
from event_trio.consumer.pipeline.pipeline import Pipeline
from event_trio.consumer.policies import FailurePolicy, RetryInPlace, UnknownTypes
from event_trio.consumer.router import RecordFailure, Router, Stale
from event_trio.consumer.sources.deferred import DeferredOptions, DeferredWorker
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Consumer, Limits
from event_trio.consumer.telemetry import Telemetry
from event_trio.contracts.payload import EventPayload
from event_trio.database.connections import create_engine
from event_trio.envelope import Envelope
from event_trio.inbox.connections import InboxConnections
from event_trio.signals import Signals
from tests.support.databases import TestDatabase, execute
from tests.support.waiting import eventually

CONSUMER = "tested"
QUICK = RetryInPlace(within=5.0, backoff=Backoff(first=0.05, factor=1.0, cap=0.05, jitter=0.0))
LIMITS = Limits(drain_seconds=10.0, polling=Polling(wait_seconds=1, visibility_seconds=5))


class Counted(EventPayload):
    """An event of the tests' own."""

    type: ClassVar[str] = "test.counted"
    number: int = 0


async def nothing(event: Event[Counted]) -> None:
    """Do nothing."""


@dataclass
class TestedConsumer:
    """One instance of a consumer."""

    __test__: ClassVar[bool] = False

    consumer: Consumer
    deferred: DeferredWorker
    signals: Signals
    registry: CollectorRegistry
    sessions: async_sessionmaker[AsyncSession]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run it."""
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        deferring = asyncio.create_task(self.deferred.run(self.stopping))
        try:
            await self.consumer.run(self.stopping)
        finally:
            deferring.cancel()
            await asyncio.wait([deferring])

    async def drain(self) -> None:
        """Stop it as SIGTERM does."""
        self.stopping.set()
        assert self.task is not None
        await self.task

    async def kill(self) -> None:
        """Cancel it wherever it is; only what it had committed remains."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    async def completed(self, event_id: object, outcome: str, *, timeout: float = 30.0) -> None:
        """Wait until the event has that outcome."""
        wanted = {"event_id": str(event_id), "outcome": outcome}
        await self.signals.wait("consumer.completed", where=lambda facts: dict(facts) == wanted, timeout=timeout)

    def count(self, outcome: str) -> float:
        """The count of that outcome for events of the tests' type."""
        labels = {"type": Counted.type, "outcome": outcome}
        return self.registry.get_sample_value("consumer_events_total", labels) or 0.0


async def completed(*instances: TestedConsumer, messages: int, timeout: float = 30.0) -> list[object]:
    """Wait until the instances together completed that many messages, and return the outcomes.

    An empty queue does not show it: SQS and LocalStack count a message that changes its state nowhere for a moment.
    """

    async def outcomes() -> list[object]:
        seen = [facts["outcome"] for one in instances for facts in one.signals.seen("consumer.completed")]
        assert len(seen) >= messages, f"{len(seen)} of {messages} messages are completed"
        return seen

    return await eventually(outcomes, timeout=timeout)


def delivery_of(event: Envelope, consumer: str = CONSUMER) -> QueueDelivery:
    """A delivery of the event, decoded."""
    body = event.to_bytes().decode()
    message = Message("message", "receipt", body, event.partitionkey, str(event.id), "1", 1, event.time)
    delivery = QueueDelivery.of(message, consumer)
    delivery.accept(decode(cloud_events, delivery))
    return delivery


@asynccontextmanager
async def consumer_of(
    database: TestDatabase,
    queue: Queue,
    *,
    act: Callable[[Event[Counted]], Awaitable[Any]] | None = None,
    before: Callable[[Event[Counted]], Awaitable[None]] = nothing,
    after: Callable[[Event[Counted]], Awaitable[None]] = nothing,
    policy: FailurePolicy = QUICK,
    stale: Stale = Stale.HANDLE,
    timeout: float = 10.0,
    limits: Limits = LIMITS,
    on_failure: RecordFailure[Counted] | None = None,
    payloads: PayloadReader | None = None,
    retention_hours: float | None = None,
    poll_seconds: float = 0.05,
) -> AsyncIterator[TestedConsumer]:
    """A consumer of the tests' events; `before` and `after` run around its one write, inside the transaction."""

    async def record(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
        await before(event)
        insert = text(
            "INSERT INTO effect (event_id, subject, sequence, stale) VALUES (:id, :subject, :sequence, :stale)"
        )
        envelope = event.envelope
        values = {"id": str(event.id), "subject": envelope.subject, "sequence": envelope.sequence_number}
        await session.execute(insert, {**values, "stale": event.stale})
        await after(event)

    router = Router()
    router.handle(Counted, record, act=act, policy=policy, stale=stale, timeout=timeout, on_failure=on_failure)
    async with consumer_with(
        database,
        queue,
        router,
        limits=limits,
        payloads=payloads,
        retention_hours=retention_hours,
        poll_seconds=poll_seconds,
    ) as tested:
        yield tested


@asynccontextmanager
async def consumer_with(
    database: TestDatabase,
    queue: Queue,
    router: Router,
    *,
    limits: Limits = LIMITS,
    payloads: PayloadReader | None = None,
    retention_hours: float | None = None,
    poll_seconds: float = 0.05,
    decoder: Decoder = cloud_events,
    unknown_types: UnknownTypes = UnknownTypes.DEAD_LETTER,
    kept_connections: int = 0,
) -> AsyncIterator[TestedConsumer]:
    """A consumer of these handlers."""
    engine = create_engine(database.url_for("notification_api"), application_name="tested", pool_size=5)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    registry, signals, clock = CollectorRegistry(), Signals(), SystemClock()
    metrics, breaker = ConsumerMetrics(registry), DatabaseBreaker(sessions)
    telemetry = Telemetry(router, metrics, signals, clock)
    connections = InboxConnections(sessions, kept=kept_connections)
    pipeline = Pipeline(
        CONSUMER,
        router,
        sessions,
        breaker,
        telemetry,
        clock,
        decoder=decoder,
        unknown_types=unknown_types,
        payloads=payloads,
        retention_hours=retention_hours,
        connections=connections,
    )
    isolation, options = Isolation(), DeferredOptions(poll_seconds=poll_seconds)
    consumer = Consumer("tested", queue, pipeline, breaker, metrics, clock, signals, limits, isolation)
    deferred = DeferredWorker(sessions, pipeline, breaker, signals, options, isolation)
    tested = TestedConsumer(consumer, deferred, signals, registry, sessions)
    tested.start()
    try:
        yield tested
    finally:
        if tested.task is not None and not tested.task.done():
            await tested.kill()
        await connections.close()
        await engine.dispose()


async def make_effects(database: TestDatabase) -> None:
    """Create the table that the tested handlers write to."""
    await execute(
        database.url,
        """
        CREATE TABLE effect (
            id bigint GENERATED ALWAYS AS IDENTITY, event_id text, subject text, sequence bigint, stale boolean
        )
        """,
        "GRANT SELECT, INSERT ON effect TO notification_api",
    )


async def rows(database: TestDatabase, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query, as the owner."""
    connection = await asyncpg.connect(database.url)
    try:
        return [tuple(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def effects(database: TestDatabase) -> list[tuple[str, int]]:
    """Subject and sequence of every effect, in order."""
    return [(row[0], row[1]) for row in await rows(database, "SELECT subject, sequence FROM effect ORDER BY id")]
