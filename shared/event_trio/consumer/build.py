"""Builds a consumer and its loops from their parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from ..broker.aws import Aws, ensure_usable, sns, sqs
from ..broker.names import BrokerNames
from ..broker.queue import Queue
from ..broker.source import MessageSource
from ..clock import SystemClock
from ..database.connections import create_engine, limit_waits
from ..errors import ConfigurationError
from ..http_client.client import async_client, network_route
from ..inbox.connections import InboxConnections
from ..lifecycle import Loop
from ..observability.runtime_metrics import watch_circuit
from ..signals import Signals
from .database_breaker import DatabaseBreaker
from .decoders import Decoder, cloud_events
from .deployment import ConsumerDeployment
from .isolation import Isolation
from .maintenance import InboxMaintenance
from .metrics import ConsumerMetrics
from .options import ConsumerOptions
from .payloads import PayloadOptions, PayloadReader
from .pipeline.pipeline import Pipeline
from .policies import UnknownTypes
from .queue_surroundings import Clients, QueueSurroundings
from .queue_surroundings import Source as Source
from .router import Router
from .settings import ConsumerSettings
from .sources.deferred import DeferredOptions, DeferredWorker
from .sources.poller import Polling
from .sources.worker import Consumer, Limits
from .telemetry import Telemetry

DEFERRED = DeferredOptions()
OTHER_LOOPS = 6
"""Connections besides those of handlers: to look for due messages, probe the database, maintain the inbox, drain the
dead-letter queues, and remove unfinished attempts."""
SPARE = 4
"""Connections that the pool keeps for them while the consumer keeps one for each handler."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A consumer, the domain whose events it consumes, and the name of the subject in log lines."""

    consumer: str
    domain: str
    subject_name: str = "subject"


@dataclass(frozen=True, slots=True)
class Consuming:
    """A consumer and its loops, for a supervisor."""

    consumer: Consumer
    loops: tuple[Loop, ...]
    deployment: ConsumerDeployment | None
    """What describes it, unless it reads a source of another broker."""


def consumer_engine(settings: ConsumerSettings, *, application_name: str) -> AsyncEngine:
    """A connection pool for a consumer and its loops alone.

    Handlers do not wait for connections of the service's API, and the API does not wait for theirs.
    """
    url = settings.database_url.get_secret_value()
    return engine_for(url, settings.options, application_name=application_name)


def engine_for(url: str, options: ConsumerOptions, *, application_name: str) -> AsyncEngine:
    """A connection pool for a consumer: READ COMMITTED, with limits to lock waits and to idle transactions."""
    engine = create_engine(
        url,
        application_name=application_name,
        # Enough for all handlers; connections beyond the pool would be opened and closed with every event.
        pool_size=options.concurrency + SPARE,
        overflow=DEFERRED.concurrency + OTHER_LOOPS - SPARE,
    )
    return limit_waits(engine)


@asynccontextmanager
async def consuming(
    subscription: Subscription,
    router: Router,
    settings: ConsumerSettings,
    sessions: async_sessionmaker[AsyncSession],
    registry: CollectorRegistry,
    signals: Signals,
    *,
    after_commit: Callable[[], None],
    connections: InboxConnections | None = None,
) -> AsyncIterator[Consuming]:
    """Build the consumer of a service of this project and connect it to the broker.

    `sessions` and `connections` are those of an engine made by `consumer_engine`.
    """
    source = Source.of(subscription.consumer, subscription.domain, BrokerNames(settings.topology_prefix))
    aws = Aws(settings.aws_region, settings.aws_endpoint_url, settings.aws_client)
    options = settings.options
    using = connections or InboxConnections(sessions, kept=options.concurrency)
    async with connected(
        subscription, source, router, options, aws, using, registry, signals, after_commit=after_commit
    ) as made:
        yield made


@asynccontextmanager
async def connected(
    subscription: Subscription,
    source: Source,
    router: Router,
    options: ConsumerOptions,
    aws: Aws | None,
    connections: InboxConnections,
    registry: CollectorRegistry,
    signals: Signals,
    *,
    after_commit: Callable[[], None],
    decoder: Decoder = cloud_events,
    unknown_types: UnknownTypes = UnknownTypes.DEAD_LETTER,
) -> AsyncIterator[Consuming]:
    """Build the consumer of any queue and connect it to the broker. At the end `connections` are closed."""
    async with _opened(source, aws) as (queue, clients), _payloads(options) as payloads:
        try:
            yield _wire(
                subscription,
                source,
                router,
                options,
                connections,
                registry,
                signals,
                queue,
                clients,
                payloads,
                after_commit,
                decoder,
                unknown_types,
            )
        finally:
            await connections.close()


@asynccontextmanager
async def _opened(source: Source, aws: Aws | None) -> AsyncIterator[tuple[MessageSource, Clients | None]]:
    """What is read, with the clients of AWS unless it belongs to another broker."""
    if not isinstance(source.queue, str):
        yield source.queue, None
        return
    if aws is None:
        raise ConfigurationError("a queue of SQS needs the configuration of AWS")
    async with sqs(aws) as queues, sns(aws) as topics:
        clients = Clients(queues, topics)
        yield clients.queue(source.queue), clients


async def ensure_startable(settings: ConsumerSettings) -> None:
    """Raise ConfigurationError if the AWS SDK or the network is configured so that the consumer could not work."""
    await ensure_usable(Aws(settings.aws_region, settings.aws_endpoint_url))
    for origin in settings.origins:
        network_route(origin)


def _wire(
    subscription: Subscription,
    source: Source,
    router: Router,
    options: ConsumerOptions,
    connections: InboxConnections,
    registry: CollectorRegistry,
    signals: Signals,
    queue: MessageSource,
    clients: Clients | None,
    payloads: PayloadReader | None,
    after_commit: Callable[[], None],
    decoder: Decoder,
    unknown_types: UnknownTypes,
) -> Consuming:
    clock, sessions = SystemClock(), connections.sessions
    metrics, breaker = ConsumerMetrics(registry), DatabaseBreaker(sessions)
    watch_circuit(metrics.circuit.labels("database"), lambda: "closed" if breaker.is_closed else "open")
    if payloads is not None:
        watch_circuit(metrics.circuit.labels("payloads"), payloads.circuit)
    telemetry = Telemetry(
        router,
        metrics,
        signals,
        clock,
        subject_name=subscription.subject_name,
        queue=source.name,
        system=queue.system,
    )
    name, hours = subscription.consumer, options.inbox_retention_days * 24
    pipeline = Pipeline(
        name,
        router,
        sessions,
        breaker,
        telemetry,
        clock,
        decoder=decoder,
        unknown_types=unknown_types,
        payloads=payloads,
        retention_hours=hours,
        after_commit=after_commit,
        connections=connections,
    )
    limits = Limits(
        concurrency=options.concurrency,
        capacity=max(300, options.concurrency),
        # Less than the supervisor's budget, after which the consumer would be cancelled.
        drain_seconds=options.drain_seconds - min(0.5, options.drain_seconds / 20),
        polling=Polling(wait_seconds=options.queue_wait_seconds, visibility_seconds=options.visibility_seconds),
    )
    isolation = Isolation()
    consumer = Consumer("consumer", queue, pipeline, breaker, metrics, clock, signals, limits, isolation)
    deferred = DeferredWorker(sessions, pipeline, breaker, signals, DEFERRED, isolation)
    maintenance = InboxMaintenance(name, sessions, metrics, signals, retention_hours=hours)
    loops: tuple[Loop, ...] = (consumer, deferred, maintenance)
    if clients is None or not isinstance(queue, Queue):
        return Consuming(consumer, loops, None)
    around = QueueSurroundings.of(name, source, queue, clients, router, options, sessions, metrics, signals, decoder)
    return Consuming(consumer, (*loops, *around.loops), around.deployment)


@asynccontextmanager
async def _payloads(options: ConsumerOptions) -> AsyncIterator[PayloadReader | None]:
    """A reader of payloads, or None, without an HTTP client, where every event carries its payload."""
    if not options.payload_origins:
        yield None
        return
    reading = PayloadOptions(options.payload_origins, options.payload_token)
    async with async_client(options.payload_origins) as client:
        yield PayloadReader(reading, client, SystemClock())
