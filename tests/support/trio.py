"""The whole system as processes, with the databases and the topology of a test."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support import wal_source
from tests.support.databases import TestDatabase
from tests.support.order_service import place
from tests.support.processes import ServiceProcess, service_process, together
from tests.support.waiting import eventually

READY_SECONDS = 60.0


@dataclass(frozen=True)
class SystemEnvironment:
    """The databases, broker and topology that the processes use."""

    orders: TestDatabase
    notifications: TestDatabase
    aws: Aws
    topology: BrokerNames
    folder: Path
    forked: bool = field(default=True, kw_only=True)
    """Whether the processes are forks; otherwise each is a new interpreter, as in production."""

    def environment(self, database: TestDatabase, role: str, **more: str) -> dict[str, str]:
        """The environment of one service."""
        return {
            "ENVIRONMENT": "local",
            "LOG_FORMAT": "json",
            "DATABASE_URL": database.url_for(role),
            "AWS_ENDPOINT_URL": self.aws.endpoint_url or "",
            "TOPOLOGY_PREFIX": self.topology.prefix,
            "DRAIN_SECONDS": "8",
            # A service that stops waits for its last receive call.
            "QUEUE_WAIT_SECONDS": "1",
            "PUBLISH_CHECK_WAIT_SECONDS": "1",
            **(wal_source.environment(database.url_for(role)) if role.endswith("_relay") else {}),
            **more,
        }


@dataclass(frozen=True)
class Trio:
    """The order and the notification service, and the requests of a user."""

    ground: SystemEnvironment
    order: httpx.AsyncClient
    notification: httpx.AsyncClient

    async def place(self, **changed: object) -> str:
        """Place an order; returns its id."""
        return str((await place(self.order, None, **changed))["id"])

    async def act(self, order_id: str, action: str, **body: str) -> None:
        """Change an order: confirm, ship, deliver, cancel, hold, release."""
        answer = await self.order.post(f"/v1/orders/{order_id}/{action}", json=body or None)
        assert answer.is_success, answer.text

    async def events(self, order_id: str) -> list[dict[str, Any]]:
        """The order's events with their states and times."""
        return list((await self.order.get(f"/v1/orders/{order_id}/events")).json()["items"])

    async def handled(self, order_id: str) -> list[dict[str, Any]]:
        """What the notification service processed of the order, oldest first."""
        answer = await self.notification.get("/v1/processed-messages", params={"subject": order_id, "limit": 100})
        return sorted(answer.json()["items"], key=lambda item: item["processed_at"])

    async def notifications(self, order_id: str) -> list[dict[str, Any]]:
        """The notifications of the order."""
        answer = await self.notification.get("/v1/notifications", params={"order_id": order_id, "limit": 100})
        return list(answer.json()["items"])

    async def wait_until_handled(self, order_id: str, count: int, *, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Wait until so many events of the order were processed; returns them, oldest first."""

        async def enough() -> list[dict[str, Any]]:
            items = await self.handled(order_id)
            assert len(items) >= count, f"{len(items)} of {count} events handled"
            return items

        return await eventually(enough, timeout=timeout)


@asynccontextmanager
async def trio(ground: SystemEnvironment) -> AsyncIterator[Trio]:
    """The order and the notification service; relays are started by `relay`."""
    async with together(order_service(ground), notification_service(ground)) as (order, notification):
        yield Trio(ground, order.api, notification.api)


def order_service(ground: SystemEnvironment) -> AbstractAsyncContextManager[ServiceProcess]:
    """The order service alone."""
    environment = ground.environment(ground.orders, "order_api", NOTIFICATION_URL="http://127.0.0.1:8001")
    return service_process("services.order.main", environment, ground.folder, forked=ground.forked)


def notification_service(ground: SystemEnvironment) -> AbstractAsyncContextManager[ServiceProcess]:
    """The notification service alone."""
    environment = ground.environment(ground.notifications, "notification_api")
    return service_process("services.notification.main", environment, ground.folder, forked=ground.forked)


@asynccontextmanager
async def relay(ground: SystemEnvironment, name: str = "relay", **settings: str) -> AsyncIterator[ServiceProcess]:
    """A relay of the order events."""
    environment = ground.environment(ground.orders, "order_relay", TOPIC="order-events", **settings)
    folder = ground.folder / name
    async with service_process("services.relay.main", environment, folder, forked=ground.forked) as process:
        yield process


async def ready(api: httpx.AsyncClient, *, timeout: float = READY_SECONDS) -> None:
    """Wait until a service is ready."""

    async def is_ready() -> bool:
        answer = await api.get("/readyz")
        assert answer.status_code == 200, answer.text
        return True

    await eventually(is_ready, timeout=timeout)
