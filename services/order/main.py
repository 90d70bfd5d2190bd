"""The order service as a process: `python -m services.order.main`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker

from shared.clock import Clock, SystemClock
from shared.database import create_engine
from shared.errors import ConfigurationError
from shared.http.application import create_app
from shared.http.authorization import authenticator
from shared.http.database import database_checks
from shared.http.health import Check
from shared.lifecycle import Supervisor
from shared.observability import logging
from shared.observability.metrics import new_registry
from shared.outbox.doorbell import Doorbell
from shared.outbox.writer import OutboxWriter
from shared.settings import fail, load
from shared.signals import Signals

from .api import events, orders
from .api.problems import translation
from .key_pruner import KeyPruner
from .metrics import OrderMetrics
from .migrate import MIGRATIONS
from .settings import OrderSettings
from .use_cases import Orders

log = structlog.get_logger(__name__)

SOURCE = "/services/order"


def build(settings: OrderSettings, *, signals: Signals | None = None, clock: Clock | None = None) -> FastAPI:
    """The service, wired; it connects when the application starts, and takes orders whatever the broker does.

    Raises ConfigurationError when the settings do not go together.
    """
    known = authenticator(settings)
    url = settings.database_url.get_secret_value()
    engine = create_engine(url, application_name="order-api", pool_size=settings.database_pool_size)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    registry = new_registry()
    metrics = OrderMetrics(registry)
    said = signals or Signals()
    doorbell = Doorbell(url)
    pruner = KeyPruner(sessions, hours=settings.idempotency_hours, metrics=metrics, signals=said)
    supervisor = Supervisor([doorbell, pruner], drain_seconds=settings.drain_seconds, signals=said)
    use_cases = Orders(
        sessions,
        OutboxWriter(SOURCE),
        ring=doorbell.ring,
        clock=clock or SystemClock(),
        metrics=metrics,
        key_hours=settings.idempotency_hours,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await supervisor.start()
        log.info("order service started", action="service.started")
        try:
            yield
        finally:
            await supervisor.stop()
            await engine.dispose()
            log.info("order service stopped", action="service.stopped")

    async def loops() -> str | None:
        return supervisor.unhealthy()

    return create_app(
        title="Order service",
        description="Takes orders, keeps their state, and states what happened to them as events.",
        routers=[orders.router, events.router],
        authenticator=known,
        registry=registry,
        checks=[*database_checks(engine, MIGRATIONS), Check("loops", loops, required=False)],
        lifespan=lifespan,
        translation=translation(),
        state={"orders": use_cases, "notification_url": settings.notification_url},
    )


def run() -> None:
    """Serve until told to stop."""
    settings = load(OrderSettings)
    logging.configure("order", settings.log_level, settings.log_format)
    try:
        app = build(settings)
    except ConfigurationError as error:
        fail(str(error))
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=ceil(settings.drain_seconds),
    )


if __name__ == "__main__":
    run()
