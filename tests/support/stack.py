"""The whole system in this process: both services and their relays on ports, with the topology of a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.notification.main import build as build_notification
from services.notification.settings import NotificationSettings
from services.order.main import build as build_order
from services.relay.main import build as build_relay
from tests.support import relays
from tests.support.command import CommandResult, event_trio
from tests.support.databases import TestDatabase
from tests.support.order_service import place, settings
from tests.support.serving import serving
from tests.support.trio import ready
from tests.support.waiting import eventually
from tools.cli.addresses import VARIABLE


@dataclass
class Stack:
    """The URLs of the processes by name, and the requests of a user."""

    orders: TestDatabase
    notifications: TestDatabase
    aws: Aws
    names: BrokerNames
    urls: dict[str, str] = field(default_factory=dict)
    _running: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def start(self, name: str, app: FastAPI) -> None:
        """Serve an application under that name."""
        stack = AsyncExitStack()
        self.urls[name] = await stack.enter_async_context(serving(app))
        self._running[name] = stack

    async def stop(self, *names: str) -> None:
        """Stop processes; their URLs stay declared."""
        stopping = [self._running.pop(name) for name in names or tuple(self._running)]
        await asyncio.gather(*(each.aclose() for each in stopping))

    def order(self, **given: Any) -> FastAPI:
        """The order service."""
        clock = given.pop("clock", None)
        return build_order(settings(self.orders, **{**self._common, "consuming": True, **given}), clock=clock)

    def notification(self, **given: Any) -> FastAPI:
        """The notification service."""
        url = SecretStr(self.notifications.url_for("notification_api"))
        made: dict[str, Any] = {"database_url": url, **self._common, **given}
        return build_notification(NotificationSettings(**made))

    def relay(self, service: str, **given: Any) -> FastAPI:
        """A relay of a service."""
        database = self.orders if service == "order" else self.notifications
        made = {"topic": f"{service}-events", "sweep_seconds": 3600, **given}
        return build_relay(relays.settings(database.url_for(f"{service}_relay"), self.aws, self.names, **made))

    async def run(self, *arguments: str, **environment: str) -> CommandResult:
        """Run `event-trio` with these processes."""
        return await event_trio(*arguments, **{VARIABLE: self.declared}, **environment)

    @property
    def declared(self) -> str:
        """The value of EVENT_TRIO_SERVICES."""
        return ",".join(f"{name}={url}" for name, url in self.urls.items())

    @property
    def _common(self) -> dict[str, Any]:
        return {
            "aws_endpoint_url": self.aws.endpoint_url,
            "topology_prefix": self.names.prefix,
            "queue_wait_seconds": 1,
            "drain_seconds": 3,
        }

    async def place(self, headers: Mapping[str, str] | None = None) -> str:
        """Place an order; returns its id."""
        async with httpx.AsyncClient(base_url=self.urls["order"]) as api:
            return str((await place(api, headers))["id"])

    async def get(self, name: str, path: str, **query: Any) -> Any:
        """Read a route of a process."""
        async with httpx.AsyncClient(base_url=self.urls[name]) as api:
            answer = await api.get(path, params=query)
            assert answer.is_success, answer.text
            return answer.json()

    async def settled(self, order_id: str) -> None:
        """Wait until the order was placed, notified and reported back, and its events are published."""

        async def is_settled() -> bool:
            for service in ("order", "notification"):
                recorded = (await self.get(service, "/v1/recorded-events", subject=order_id))["items"]
                assert recorded
                assert all(event["state"] == "published" for event in recorded)
            return bool((await self.get("notification", "/v1/processed-messages", subject=order_id))["items"])

        await eventually(is_settled, timeout=30.0)


@asynccontextmanager
async def stack(
    orders: TestDatabase, notifications: TestDatabase, aws: Aws, names: BrokerNames
) -> AsyncIterator[Stack]:
    """The running system, ready."""
    found = Stack(orders, notifications, aws, names)
    applications: dict[str, Callable[[], FastAPI]] = {
        "order": found.order,
        "notification": found.notification,
        "order-relay": lambda: found.relay("order"),
        "notification-relay": lambda: found.relay("notification"),
    }
    try:
        for name, make in applications.items():
            await found.start(name, make())
        for url in found.urls.values():
            async with httpx.AsyncClient(base_url=url) as api:
                await ready(api)
        yield found
    finally:
        await found.stop()
