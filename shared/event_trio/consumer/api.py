"""Consumes a queue in one call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from ..broker.aws import Aws, ensure_usable
from ..broker.aws_session import region_and_endpoint
from ..broker.client_choice import client_choice
from ..broker.source import MessageSource
from ..database.faults import engine_faults
from ..error_text import describe
from ..inbox.connections import InboxConnections
from ..inbox.version_check import ensure_current
from ..lifecycle import Supervisor
from ..signals import Signals
from .arguments import checked_names, checked_options, checked_unknown_types, ensure_type
from .build import Source, Subscription, connected, engine_for
from .decoders import Decoder, cloud_events
from .options import ConsumerOptions
from .policies import UnknownTypes
from .router import Router
from .stop_signals import StopSignals

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
"""How long the check of the tables may take; a database that does not answer is waited for by the consumer."""


async def consume(
    *,
    queue: str | MessageSource,
    router: Router,
    database: str | AsyncEngine,
    consumer: str | None = None,
    dead_letter_queue: str | None = None,
    undelivered_queue: str | None = None,
    topic: str | None = None,
    decoder: Decoder = cloud_events,
    unknown_types: UnknownTypes | str = UnknownTypes.DEAD_LETTER,
    options: ConsumerOptions | None = None,
    registry: CollectorRegistry | None = None,
    signals: Signals | None = None,
    after_commit: Callable[[], None] | None = None,
    stopping: asyncio.Event | None = None,
) -> None:
    """Consume a queue until SIGTERM or SIGINT, then finish what was begun and return.

    Only the first three parameters are needed. Region, credentials and endpoint come from the standard AWS variables,
    and AWS_CLIENT chooses the client (`lean` or `stock`).

    - `queue`: the name or URL of an SQS FIFO queue, or the source of another broker (`event_trio.broker.source`).
    - `router`: the handlers.
    - `database`: a `postgresql://` URL, or an engine. It has the inbox tables (`event_trio.inbox.install_tables`) and
      the tables that handlers write. Connections made from a URL are READ COMMITTED and have limits to waiting for
      locks and to idle transactions; an engine of the caller's has to be made with such limits.
    - `consumer`: the name under which processed events are recorded; by default the queue's name. Events that were
      processed under another name are handled again.
    - `dead_letter_queue`, `undelivered_queue`: queues of SQS whose messages become rows of `deferred_message` with the
      status `dead`, so that dead letters are in one place.
    - `topic`: the SNS topic whose subscription is compared with the handlers.
    - `decoder`: how an event is read from a message; `JsonDecoder` reads a queue whose publisher uses no envelope.
    - `unknown_types`: what happens to an event whose type has no handler.
    - `options`: concurrency, times and retention.
    - `registry`: where the metrics are registered; by default a registry of its own.
    - `signals`: events inside the consumer, for tests that wait for them.
    - `after_commit`: called after each commit; `OutboxNotifier.notify`, if handlers record events.
    - `stopping`: ends the consumer when it is set. No signal handler is installed then.

    Raises ConfigurationError when an argument or the configuration of the AWS SDK cannot be used, and when the inbox
    tables have an older version. A database or a broker that is down is waited for.
    """
    name = checked_names(
        queue,
        consumer,
        {"dead_letter_queue": dead_letter_queue, "undelivered_queue": undelivered_queue, "topic": topic},
    )
    chosen, unknown = checked_options(options), checked_unknown_types(unknown_types)
    ensure_type("router", router, Router, "pass the event_trio.consumer.Router with your handlers")
    ensure_type("database", database, (str, AsyncEngine), "pass a postgresql:// URL or an AsyncEngine")
    aws = Aws(*region_and_endpoint(queue), client_choice()) if isinstance(queue, str) else None
    source = Source(queue, dead_letter_queue, undelivered_queue, topic)
    if aws is not None:
        await ensure_usable(aws)
    said, shown = signals or Signals(), queue if isinstance(queue, str) else queue.name
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(_engine(database, chosen))
        await _ensure_current_tables(engine)
        made = await stack.enter_async_context(
            connected(
                Subscription(name, shown),
                source,
                router,
                chosen,
                aws,
                # An engine of the caller's may be used by others, who would wait for connections that are kept.
                InboxConnections(
                    async_sessionmaker(engine, expire_on_commit=False),
                    kept=0 if isinstance(database, AsyncEngine) else chosen.concurrency,
                ),
                registry or CollectorRegistry(),
                said,
                after_commit=after_commit or _nothing,
                decoder=decoder,
                unknown_types=unknown,
            )
        )
        stop = stopping or stack.enter_context(StopSignals()).event
        supervisor = Supervisor(made.loops, drain_seconds=chosen.drain_seconds, signals=said)
        await supervisor.start()
        log.info("consumer started", action="consumer.started", queue=shown, consumer=name)
        try:
            await stop.wait()
        finally:
            await supervisor.stop()
            log.info("consumer stopped", action="consumer.stopped", queue=shown, consumer=name)


@asynccontextmanager
async def _engine(database: str | AsyncEngine, options: ConsumerOptions) -> AsyncIterator[AsyncEngine]:
    """The caller's engine, which stays open, or one of our own."""
    if isinstance(database, AsyncEngine):
        yield database.execution_options(isolation_level="READ COMMITTED")
        return
    url = database.replace("postgresql+asyncpg://", "postgresql://", 1)
    engine = engine_for(url, options, application_name="event-trio-consumer")
    try:
        yield engine
    finally:
        await engine.dispose()


async def _ensure_current_tables(engine: AsyncEngine) -> None:
    try:
        async with asyncio.timeout(CHECK_SECONDS), engine.connect() as connection:
            await ensure_current(connection)
    except engine_faults() as error:
        log.warning("the version of the inbox is not known", action="consumer.version_unknown", error=describe(error))


def _nothing() -> None:
    """Do nothing after a commit."""
