"""The order service as a process: `python -m services.order.main`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from event_trio.broker.names import BrokerNames
from event_trio.clock import Clock, SystemClock
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
from event_trio.lifecycle import Loop, Supervisor
from event_trio.observability import logging
from event_trio.observability.metrics import new_registry
from event_trio.operations_api import routes as operations_routes
from event_trio.outbox.metrics import OutboxMetrics
from event_trio.outbox.monitor import OutboxMonitor
from event_trio.outbox.notifier import OutboxNotifier
from event_trio.outbox.writer import OutboxWriter
from event_trio.settings import fail, load
from event_trio.signals import Signals

from .api import events, orders, reports
from .api.problems import translation
from .compensation import Compensation, Compensator
from .events import PayloadReferences
from .handlers import router
from .metrics import OrderMetrics
from .migrate import MIGRATIONS
from .settings import OrderSettings
from .use_cases import Orders

log = structlog.get_logger(__name__)

NAME = "order"
SOURCE = "/services/order"
TOPIC = "order-events"
SUBSCRIPTION = Subscription(NAME, "notification-events", subject_name="order_id")


@dataclass(frozen=True, slots=True)
class _Running:
    consumer: Consumer | None
    supervisor: Supervisor


def build(settings: OrderSettings, *, signals: Signals | None = None, clock: Clock | None = None) -> FastAPI:
    """The service, wired; it connects when the application starts, and takes orders whatever the broker does.

    Raises ConfigurationError when the settings do not go together.
    """
    known = authenticator(settings)
    url = settings.database_url.get_secret_value()
    engine = create_engine(url, application_name="order-api", pool_size=settings.database_pool_size)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    # Apart from the API's: whatever handlers wait for, orders are taken.
    consumer_connections = consumer_engine(settings, application_name="order-consumer")
    consumer_sessions = async_sessionmaker(consumer_connections, expire_on_commit=False)
    registry = new_registry()
    metrics = OrderMetrics(registry)
    said = signals or Signals()
    outbox_notifier = OutboxNotifier(url)
    monitor = OutboxMonitor(
        url,
        OutboxMetrics(registry),
        topic=BrokerNames(settings.topology_prefix).topic(TOPIC),
        report=settings.cloudwatch_metrics,
        signals=said,
    )
    answers = ResponseStore(TABLE, hours=settings.idempotency_hours, metrics=IdempotencyMetrics(registry))
    pruner = KeyPruner(answers, session_transactions(sessions), signals=said)
    zero_payload = [name.strip() for name in settings.zero_payload_events.split(",") if name.strip()]
    places = PayloadReferences(zero_payload, settings.public_url)
    writer, time = OutboxWriter(SOURCE, references=places, most_bytes=settings.message_bytes), clock or SystemClock()
    routes = router(Compensator(writer, Compensation(settings.compensation), clock=time, metrics=metrics))
    routes.override(settings.policies, setting="FAILURE_POLICIES")
    running: list[_Running] = []
    use_cases = Orders(sessions, writer, ring=outbox_notifier.notify, clock=time, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            parts = None
            if settings.consuming:
                consumer = consuming(
                    SUBSCRIPTION,
                    routes,
                    settings,
                    consumer_sessions,
                    registry,
                    said,
                    after_commit=outbox_notifier.notify,
                )
                parts = await stack.enter_async_context(consumer)
            loops: list[Loop] = [outbox_notifier, monitor, pruner, *(parts.loops if parts else ())]
            supervisor = Supervisor(loops, drain_seconds=settings.drain_seconds, signals=said)
            running.append(_Running(parts.consumer if parts else None, supervisor))
            await supervisor.start()
            log.info("order service started", action="service.started")
            try:
                yield
            finally:
                await supervisor.stop()
                await engine.dispose()
                await consumer_connections.dispose()
                running.clear()
                log.info("order service stopped", action="service.stopped")

    return create_app(
        title="Order service",
        description="Takes orders, keeps their state, and states what happened to them as events.",
        routers=[orders.router, events.router, reports.router, *operations_routes.ROUTERS],
        authenticator=known,
        registry=registry,
        checks=(*_checks(engine, running), HealthCheck("outbox", monitor.check, required=False)),
        lifespan=lifespan,
        translation=translation(),
        state={
            "orders": use_cases,
            "notification_url": settings.notification_url,
            **operations_routes.consumer_state(sessions, NAME, answers),
        },
    )


def _checks(engine: AsyncEngine, running: Sequence[_Running]) -> Sequence[HealthCheck]:
    async def loops() -> str | None:
        return running[0].supervisor.unhealthy() if running else "not started"

    async def queue() -> str | None:
        consumer = running[0].consumer if running else None
        return consumer.trouble if consumer else None

    # Orders are taken whatever the broker does.
    background = (HealthCheck("loops", loops, required=False), HealthCheck("queue", queue, required=False))
    return (*database_checks(engine, MIGRATIONS), *background)


def run() -> None:
    """Serve until told to stop."""
    settings = load(OrderSettings)
    logging.configure("order", settings.log_level, settings.log_format)
    try:
        if settings.consuming:
            asyncio.run(ensure_startable(settings))
        app = build(settings)
    except ConfigurationError as error:
        fail(str(error))
    serve(app, settings)


if __name__ == "__main__":
    run()
