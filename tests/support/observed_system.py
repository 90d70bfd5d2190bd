"""The whole system as processes that export spans: both services, and a relay for each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.mail import MailServer
from tests.support.otlp import OtlpReceiver
from tests.support.processes import ServiceProcess, service_process, together
from tests.support.trio import SystemEnvironment, Trio, ready
from tools.embedded.ports import LOOPBACK, free_port

POLICIES = (
    "order.placed: retry(attempts=3, delay=0.2, backoff=1) then publish_failure;"
    "order.confirmed: retry(attempts=2, delay=90, backoff=1) then dead_letter"
)
MODULES = {"order": "order", "notification": "notification", "order-relay": "relay", "notification-relay": "relay"}


@dataclass(frozen=True)
class ObservedSystem:
    """The services, and all processes by name."""

    services: Trio
    processes: Mapping[str, ServiceProcess]

    @property
    def logs(self) -> dict[str, str]:
        """The log of each process so far."""
        return {name: running.process.command.log.read_text() for name, running in self.processes.items()}


@asynccontextmanager
async def observed_system(
    ground: SystemEnvironment, server: MailServer, receiver: OtlpReceiver, **settings: str
) -> AsyncIterator[ObservedSystem]:
    """Start all processes. `order.confirmed` carries no payload, and a failure to notify cancels the order."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    # Spans are exported soon after they end.
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100", **settings}
    orders = {"ZERO_PAYLOAD_EVENTS": "order.confirmed", "PUBLIC_URL": url, "COMPENSATION": "cancel"}
    mailing = {
        "SENDER": "smtp",
        "SMTP_HOST": LOOPBACK,
        "SMTP_PORT": str(server.port),
        "SMTP_FROM": "shop@example.com",
        "SMTP_SECURITY": "none",
        "PAYLOAD_ORIGINS": url,
        "FAILURE_POLICIES": POLICIES,
    }
    environments = {
        "order": ground.environment(ground.orders, "order_api", **orders),
        "notification": ground.environment(ground.notifications, "notification_api", **mailing),
        "order-relay": ground.environment(ground.orders, "order_relay", TOPIC="order-events"),
        "notification-relay": ground.environment(
            ground.notifications, "notification_relay", TOPIC="notification-events"
        ),
    }
    async with together(
        *(
            service_process(
                f"services.{MODULES[name]}.main",
                {**environment, **traced, "OTEL_SERVICE_NAME": name},
                ground.folder / name,
                port=port if name == "order" else None,
            )
            for name, environment in environments.items()
        )
    ) as started:
        processes = dict(zip(environments, started, strict=True))
        order, notification = processes["order"].api, processes["notification"].api
        await ready(order)
        await ready(notification)
        yield ObservedSystem(Trio(ground, order, notification), processes)
