"""The order service as a process: `python -m services.order.main`."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # until everything is imported: see event_trio.service.run

from pathlib import Path

from fastapi import FastAPI

from event_trio.clock import Clock, SystemClock
from event_trio.consumer.build import Subscription, ensure_startable
from event_trio.contracts.orders import ORDER_EVENTS
from event_trio.event_service import EventService
from event_trio.outbox.writer import OutboxWriter
from event_trio.service import run
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

NAME = "order"
SOURCE = "/services/order"
TOPIC = "order-events"
ASYNCAPI = Path(__file__).with_name("asyncapi.json")
SUBSCRIPTION = Subscription(NAME, "notification-events", subject_name="order_id")


def build(settings: OrderSettings, *, signals: Signals | None = None, clock: Clock | None = None) -> FastAPI:
    """The service's application. It accepts orders whatever the state of the broker.

    Raises ConfigurationError when the settings contradict each other.
    """
    clock = clock or SystemClock()
    service = EventService(
        NAME,
        settings,
        migrations=MIGRATIONS,
        asyncapi=ASYNCAPI,
        pool_size=settings.database_pool_size,
        signals=signals,
        clock=clock,
    )
    zero_payload = [name.strip() for name in settings.zero_payload_events.split(",") if name.strip()]
    references = PayloadReferences(zero_payload, settings.public_url)
    writer = OutboxWriter(
        SOURCE, schemas=settings.schemas_url, references=references, most_bytes=settings.message_bytes
    )
    metrics = OrderMetrics(service.registry)
    notify = service.use_outbox(TOPIC, ORDER_EVENTS, schemas_url=settings.schemas_url, notify=settings.notify_relay)
    use_cases = Orders(service.sessions, service.connections, writer, notify=notify, clock=clock, metrics=metrics)
    if settings.consuming:
        compensator = Compensator(writer, Compensation(settings.compensation), clock=clock, metrics=metrics)
        service.consume(SUBSCRIPTION, router(compensator), required=False)
    return service.application(
        title="Order service",
        description="Accepts orders, keeps their state, and publishes each change as an event.",
        routers=[orders.router, events.router, reports.router],
        translation=translation(),
        state={"orders": use_cases, "notification_url": settings.notification_url},
        loops_required=False,
    )


async def _ensure_startable(settings: OrderSettings) -> None:
    if settings.consuming:
        await ensure_startable(settings)


if __name__ == "__main__":
    run(NAME, OrderSettings, build, _ensure_startable)
