"""The notification service as a process: `python -m services.notification.main`."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # until everything is imported: see event_trio.service.run

from pathlib import Path

from fastapi import FastAPI

from event_trio.clock import SystemClock
from event_trio.consumer.build import Subscription, ensure_startable
from event_trio.contracts.notifications import NOTIFICATION_EVENTS
from event_trio.event_service import EventService
from event_trio.observability.runtime_metrics import watch_circuit
from event_trio.outbox.writer import OutboxWriter
from event_trio.service import run
from event_trio.signals import Signals

from .api import notifications
from .api.problems import translation
from .handlers import router
from .metrics import SenderMetrics
from .migrate import MIGRATIONS
from .rendering import Templates
from .senders.circuit_breaking import CircuitBreakingSender
from .senders.log import LogSender
from .senders.sender import Sender
from .senders.smtp import SmtpOptions, SmtpSender
from .settings import NotificationSettings
from .use_cases import CustomerNotifier, NotificationQueries

NAME = "notification"
SOURCE = "/services/notification"
TOPIC = "notification-events"
ASYNCAPI = Path(__file__).with_name("asyncapi.json")
SUBSCRIPTION = Subscription(NAME, "order-events", subject_name="order_id")


def build(settings: NotificationSettings, *, signals: Signals | None = None, sender: Sender | None = None) -> FastAPI:
    """The service's application. Raises ConfigurationError when the settings contradict each other."""
    service = EventService(
        NAME,
        settings,
        migrations=MIGRATIONS,
        asyncapi=ASYNCAPI,
        pool_size=settings.database_pool_size,
        signals=signals,
    )
    service.use_outbox(TOPIC, NOTIFICATION_EVENTS, schemas_url=settings.schemas_url, notify=settings.notify_relay)
    writer = OutboxWriter(SOURCE, schemas=settings.schemas_url, most_bytes=settings.message_bytes)
    notifier = CustomerNotifier(
        service.consumer_sessions,
        Templates(),
        sender or _sender(settings, SenderMetrics(service.registry)),
        writer,
        SystemClock(),
        service.consumer_connections,
    )
    service.consume(SUBSCRIPTION, router(notifier))
    return service.application(
        title="Notification service",
        description="Notifies customers of what happened to their orders, once per event.",
        routers=[notifications.router],
        translation=translation(),
        state={"notifications": NotificationQueries(service.sessions)},
    )


def _sender(settings: NotificationSettings, metrics: SenderMetrics) -> Sender:
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
    breaking = CircuitBreakingSender(smtp, SystemClock())
    watch_circuit(metrics.circuit, breaking.circuit)
    return breaking


if __name__ == "__main__":
    run(NAME, NotificationSettings, build, ensure_startable)
