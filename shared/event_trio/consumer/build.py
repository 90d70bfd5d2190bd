"""A whole consumer from its parts, for the `main` of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from ..broker.aws import Aws, ensure_usable, sns, sqs
from ..broker.names import BrokerNames, dead_letters, undelivered
from ..broker.queue import Queue
from ..clock import SystemClock
from ..database.connections import create_engine
from ..http_client.client import async_client, route
from ..lifecycle import Loop
from ..signals import Signals
from .database_breaker import DatabaseBreaker
from .deployment_check import DeploymentCheck
from .isolation import Isolation
from .maintenance import InboxMaintenance
from .metrics import ConsumerMetrics
from .payloads import PayloadReader, Reading
from .pipeline.intake import Processor
from .pipeline.pipeline import Handling
from .router import Router
from .settings import ConsumerSettings
from .sources.dead_letter_queues import DeadLetterQueueDrain
from .sources.deferred import DeferredWorker, Pace
from .sources.poller import Polling
from .sources.worker import Consumer, Limits
from .telemetry import Report

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

PACE = Pace()
OTHER_LOOPS = 6
"""Connections at the same time besides those of handlers: what is due is looked for, the database probed, the inbox
kept, the nets emptied, marks taken back."""
NET_WAIT_SECONDS = 1
"""The nets are nearly always empty: they are looked into now and then, without a long poll."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who reads, what it reads, and how log lines call what its events are about."""

    consumer: str
    domain: str
    subject_name: str = "subject"


@dataclass(frozen=True, slots=True)
class Consuming:
    """A consumer and all the loops that belong to it."""

    consumer: Consumer
    loops: tuple[Loop, ...]


def consumer_engine(settings: ConsumerSettings, *, application_name: str) -> AsyncEngine:
    """The connections of a consumer and its loops, and of nobody else.

    None of its handlers ever waits for one, and none keeps one from the service's API.
    """
    return create_engine(
        settings.database_url.get_secret_value(),
        application_name=application_name,
        # Kept, or connections come and go with every event of a backlog.
        pool_size=settings.concurrency,
        overflow=PACE.concurrency + OTHER_LOOPS,
    )


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
) -> AsyncIterator[Consuming]:
    """The parts, wired, with the connections that they need."""
    aws = Aws(settings.aws_region, settings.aws_endpoint_url)
    async with sqs(aws) as client, sns(aws) as topics, _payloads(settings) as payloads:
        yield _wire(subscription, router, settings, sessions, registry, signals, client, topics, payloads, after_commit)


async def ensure_startable(settings: ConsumerSettings) -> None:
    """Raise ConfigurationError when what surrounds the process would not let the consumer work: before it starts."""
    await ensure_usable(Aws(settings.aws_region, settings.aws_endpoint_url))
    for origin in settings.origins:
        route(origin)


def _wire(
    subscription: Subscription,
    router: Router,
    settings: ConsumerSettings,
    sessions: async_sessionmaker[AsyncSession],
    registry: CollectorRegistry,
    signals: Signals,
    client: SQSClient,
    topics: SNSClient,
    payloads: PayloadReader | None,
    after_commit: Callable[[], None],
) -> Consuming:
    clock = SystemClock()
    metrics, gate = ConsumerMetrics(registry), DatabaseBreaker(sessions)
    report = Report(router, metrics, signals, clock, subject_name=subscription.subject_name)
    handling = Handling(router, sessions, gate, report, clock, after_commit=after_commit, payloads=payloads)
    hours = settings.inbox_retention_days * 24
    processor = Processor(subscription.consumer, sessions, handling, report, clock, retention_hours=hours)
    topology = BrokerNames(settings.topology_prefix)
    queue = Queue(client, topology.queue(subscription.consumer, subscription.domain))
    limits = Limits(
        concurrency=settings.concurrency,
        capacity=max(300, settings.concurrency),
        # Its own budget ends before the supervisor's, which would cut it off.
        drain_seconds=settings.drain_seconds - min(0.5, settings.drain_seconds / 20),
        polling=Polling(wait_seconds=settings.queue_wait_seconds, visibility_seconds=settings.visibility_seconds),
    )
    isolation = Isolation()
    consumer = Consumer("consumer", queue, processor, gate, metrics, clock, signals, limits, isolation)
    name = subscription.consumer
    deferrals = DeferredWorker(name, sessions, handling, gate, report, signals, PACE, isolation)
    upkeep = InboxMaintenance(name, sessions, metrics, signals, retention_hours=hours)
    wait = min(settings.queue_wait_seconds, NET_WAIT_SECONDS)
    nets = [
        DeadLetterQueueDrain(
            loop, name, Queue(client, under(queue.name)), sessions, metrics, signals, reason=reason, wait_seconds=wait
        )
        for loop, under, reason in (
            ("received-too-often", dead_letters, "received_too_often"),
            ("undelivered", undelivered, "undelivered"),
        )
    ]
    check = DeploymentCheck(
        topics,
        topology.topic(subscription.domain),
        queue,
        Queue(client, dead_letters(queue.name)),
        router,
        metrics,
        signals,
        inbox_days=settings.inbox_retention_days,
        outbox_days=settings.outbox_retention_days,
    )
    return Consuming(consumer, (consumer, deferrals, upkeep, *nets, check))


@asynccontextmanager
async def _payloads(settings: ConsumerSettings) -> AsyncIterator[PayloadReader | None]:
    """What reads payloads; nothing, and no client, where no publisher keeps any."""
    if not settings.origins:
        yield None
        return
    token = settings.payload_token
    reading = Reading(settings.origins, token.get_secret_value() if token else None)
    async with async_client(settings.origins) as client:
        yield PayloadReader(reading, client, SystemClock())
