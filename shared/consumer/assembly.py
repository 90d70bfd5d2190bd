"""A whole consumer from its parts, for the `main` of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..aws import Aws, sqs
from ..clock import Clock, SystemClock
from ..lifecycle import Loop
from ..queue import Queue
from ..signals import Signals
from ..topology import Topology
from .deferrals import Deferrals
from .gate import Gate
from .handling import Handling
from .loop import Consumer, Limits
from .metrics import ConsumerMetrics
from .payloads import PayloadReader, Reading
from .processor import Processor
from .receiving import Polling
from .reporting import Report
from .router import Router
from .settings import ConsumerSettings

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient


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
    async with sqs(aws) as client, httpx.AsyncClient() as http:
        yield _wire(subscription, router, settings, sessions, registry, signals, client, http, after_commit)


def _wire(
    subscription: Subscription,
    router: Router,
    settings: ConsumerSettings,
    sessions: async_sessionmaker[AsyncSession],
    registry: CollectorRegistry,
    signals: Signals,
    client: SQSClient,
    http: httpx.AsyncClient,
    after_commit: Callable[[], None],
) -> Consuming:
    clock = SystemClock()
    metrics, gate = ConsumerMetrics(registry), Gate(sessions)
    report = Report(router, metrics, signals, clock, subject_name=subscription.subject_name)
    payloads = _payloads(settings, http, clock)
    handling = Handling(router, sessions, gate, report, clock, after_commit=after_commit, payloads=payloads)
    hours = settings.inbox_retention_days * 24
    processor = Processor(subscription.consumer, sessions, handling, report, clock, retention_hours=hours)
    queue = Queue(client, Topology(settings.topology_prefix).queue(subscription.consumer, subscription.domain))
    limits = Limits(
        concurrency=settings.concurrency,
        capacity=max(300, settings.concurrency),
        # Its own budget ends before the supervisor's, which would cut it off.
        drain_seconds=settings.drain_seconds * 0.95,
        polling=Polling(wait_seconds=settings.queue_wait_seconds, visibility_seconds=settings.visibility_seconds),
    )
    consumer = Consumer("consumer", queue, processor, gate, metrics, clock, signals, limits)
    deferrals = Deferrals(subscription.consumer, sessions, handling, gate, report, signals)
    return Consuming(consumer, (consumer, deferrals))


def _payloads(settings: ConsumerSettings, http: httpx.AsyncClient, clock: Clock) -> PayloadReader | None:
    if not settings.origins:
        return None
    token = settings.payload_token
    return PayloadReader(Reading(settings.origins, token.get_secret_value() if token else None), http, clock)
