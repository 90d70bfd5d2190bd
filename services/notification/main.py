"""The notification service as a process: `python -m services.notification.main`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from event_trio.broker.names import BrokerNames
from event_trio.clock import SystemClock
from event_trio.consumer.build import Subscription, consumer_engine, consuming, ensure_startable
from event_trio.consumer.sources.worker import Consumer
from event_trio.database.connections import create_engine
from event_trio.errors import ConfigurationError
from event_trio.http.application import create_app
from event_trio.http.authorization import authenticator
from event_trio.http.database import database_checks
from event_trio.http.health import HealthCheck
from event_trio.http.server import serve
from event_trio.idempotency.metrics import IdempotencyMetrics
from event_trio.idempotency.pruner import KeyPruner
from event_trio.idempotency.response_store import ResponseStore
from event_trio.idempotency.schema import TABLE
from event_trio.idempotency.transactions import session_transactions
from event_trio.lifecycle import Supervisor
from event_trio.observability import logging
from event_trio.observability.metrics import new_registry
from event_trio.operations_api import routes as operations_routes
from event_trio.outbox.metrics import OutboxMetrics
from event_trio.outbox.monitor import OutboxMonitor
from event_trio.outbox.notifier import OutboxNotifier
from event_trio.outbox.writer import OutboxWriter
from event_trio.settings import fail, load
from event_trio.signals import Signals

from .api import notifications
from .api.problems import translation
from .handlers import router
from .migrate import MIGRATIONS
from .rendering import Templates
from .senders.circuit_breaking import CircuitBreakingSender
from .senders.log import LogSender
from .senders.sender import Sender
from .senders.smtp import SmtpOptions, SmtpSender
from .settings import NotificationSettings
from .use_cases import CustomerNotifier, NotificationQueries

log = structlog.get_logger(__name__)

NAME = "notification"
SOURCE = "/services/notification"
TOPIC = "notification-events"
SUBSCRIPTION = Subscription(NAME, "order-events", subject_name="order_id")


@dataclass(frozen=True, slots=True)
class _Running:
    consumer: Consumer
    supervisor: Supervisor


def build(settings: NotificationSettings, *, signals: Signals | None = None, sender: Sender | None = None) -> FastAPI:
    """The service, wired; it connects when the application starts, and waits for whatever is not there yet.

    Raises ConfigurationError when the settings do not go together.
    """
    known = authenticator(settings)
    said = signals or Signals()
    registry = new_registry()
    engine = create_engine(
        settings.database_url.get_secret_value(),
        application_name="notification-api",
        pool_size=settings.database_pool_size,
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    # Apart from the API's: whatever handlers wait for, it answers.
    consumer_connections = consumer_engine(settings, application_name="notification-consumer")
    consumer_sessions = async_sessionmaker(consumer_connections, expire_on_commit=False)
    outbox_notifier = OutboxNotifier(settings.database_url.get_secret_value())
    monitor = OutboxMonitor(
        settings.database_url.get_secret_value(),
        OutboxMetrics(registry),
        topic=BrokerNames(settings.topology_prefix).topic(TOPIC),
        report=settings.cloudwatch_metrics,
        signals=said,
    )
    answers = ResponseStore(TABLE, hours=settings.idempotency_hours, metrics=IdempotencyMetrics(registry))
    pruner = KeyPruner(answers, session_transactions(sessions), signals=said)
    chosen = sender or _sender(settings)
    writer = OutboxWriter(SOURCE, most_bytes=settings.message_bytes)
    notifier = CustomerNotifier(consumer_sessions, Templates(), chosen, writer, SystemClock())
    routes = router(notifier)
    routes.override(settings.policies, setting="FAILURE_POLICIES")
    running: list[_Running] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with consuming(
            SUBSCRIPTION, routes, settings, consumer_sessions, registry, said, after_commit=outbox_notifier.notify
        ) as parts:
            loops = (*parts.loops, outbox_notifier, monitor, pruner)
            supervisor = Supervisor(loops, drain_seconds=settings.drain_seconds, signals=said)
            running.append(_Running(parts.consumer, supervisor))
            await supervisor.start()
            log.info("notification service started", action="service.started")
            try:
                yield
            finally:
                await supervisor.stop()
                await engine.dispose()
                await consumer_connections.dispose()
                running.clear()
                log.info("notification service stopped", action="service.stopped")

    return create_app(
        title="Notification service",
        description="Tells customers what happened to their orders, once per event.",
        routers=[notifications.router, *operations_routes.ROUTERS],
        authenticator=known,
        registry=registry,
        checks=(*_checks(engine, running), HealthCheck("outbox", monitor.check, required=False)),
        lifespan=lifespan,
        translation=translation(),
        state={"records": NotificationQueries(sessions), **operations_routes.consumer_state(sessions, NAME, answers)},
    )


def _sender(settings: NotificationSettings) -> Sender:
    if settings.sender == "log" or settings.smtp_host is None or settings.smtp_from is None:
        return LogSender()
    password = settings.smtp_password
    smtp = SmtpSender(
        SmtpOptions(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            security=settings.smtp_security,
            username=settings.smtp_username,
            password=password.get_secret_value() if password is not None else None,
        )
    )
    return CircuitBreakingSender(smtp, SystemClock())


def _checks(engine: AsyncEngine, running: Sequence[_Running]) -> Sequence[HealthCheck]:
    async def queue() -> str | None:
        return running[0].consumer.trouble if running else "not started"

    async def loops() -> str | None:
        return running[0].supervisor.unhealthy() if running else "not started"

    return (*database_checks(engine, MIGRATIONS), HealthCheck("queue", queue), HealthCheck("loops", loops))


def run() -> None:
    """Serve until told to stop."""
    settings = load(NotificationSettings)
    logging.configure(NAME, settings.log_level, settings.log_format)
    try:
        asyncio.run(ensure_startable(settings))
        app = build(settings)
    except ConfigurationError as error:
        fail(str(error))
    serve(app, settings)


if __name__ == "__main__":
    run()
