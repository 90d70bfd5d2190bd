"""The notification service in this process, with the test's database and queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from event_trio.broker.aws import Aws
from event_trio.contracts.orders import OrderedLine, OrderEvent, OrderPlaced
from event_trio.contracts.payload import EventPayload
from event_trio.envelope import Envelope, uuid7
from event_trio.signals import Signals
from services.notification.handlers import HANDLED
from services.notification.main import build
from services.notification.senders.sender import Sender
from services.notification.settings import NotificationSettings
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of
from tests.support.web import client

RECIPIENT = "ada@example.com"
QUEUE = "notification-order-events.fifo"
QUICK = "retry(attempts=4, delay=0.2, backoff=1) then dead_letter"


def policies(policy: str) -> str:
    """The same failure policy for every event that the service handles."""
    return "; ".join(f"{payload.type}: {policy}" for payload in HANDLED)


def queue_name(prefix: str) -> str:
    """The service's queue under a prefix."""
    return f"{prefix}{QUEUE}"


def environment(database: TestDatabase, aws: Aws, prefix: str) -> dict[str, str]:
    """The environment of a process of the service."""
    return {
        "ENVIRONMENT": "local",
        "DATABASE_URL": database.url_for("notification_api"),
        "AWS_ENDPOINT_URL": aws.endpoint_url or "",
        "TOPOLOGY_PREFIX": prefix,
        "QUEUE_WAIT_SECONDS": "1",
        "VISIBILITY_SECONDS": "4",
        "DRAIN_SECONDS": "5",
    }


@dataclass(frozen=True)
class NotificationService:
    """A running service."""

    api: httpx.AsyncClient
    signals: Signals

    async def completed(self, event: Envelope, outcome: str = "handled") -> None:
        """Wait until the event has that outcome."""
        wanted = {"event_id": str(event.id), "outcome": outcome}
        await self.signals.wait("consumer.completed", where=lambda facts: dict(facts) == wanted, timeout=30.0)

    async def items(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """The items of a list."""
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@asynccontextmanager
async def notification_service(
    database: TestDatabase, aws: Aws, prefix: str, *, by: Sender | None = None, **given: object
) -> AsyncIterator[NotificationService]:
    """A running service that reads the queue under the prefix."""
    chosen: dict[str, Any] = {
        "database_url": SecretStr(database.url_for("notification_api")),
        "aws_endpoint_url": aws.endpoint_url,
        "topology_prefix": prefix,
        "queue_wait_seconds": 1,
        "visibility_seconds": 10,
        "drain_seconds": 5,
        "failure_policies": policies(QUICK),
        **given,
    }
    signals = Signals()
    async with client(build(NotificationSettings(**chosen), signals=signals, sender=by)) as api:
        yield NotificationService(api, signals)


class Order:
    """An order, and the events that its service publishes about it."""

    def __init__(self, *, customer_id: str = "customer-1", locale: str = "en") -> None:
        self.id: UUID = uuid7()
        self._customer_id = customer_id
        self._locale = locale
        self._sequence = 0

    def placed(self, **fields: Any) -> Envelope:
        """The order's first event."""
        payload = OrderPlaced(
            order_id=self.id,
            customer_id=self._customer_id,
            recipient=fields.pop("recipient", RECIPIENT),
            locale=self._locale,
            currency="EUR",
            lines=(OrderedLine(sku="TEA-1", quantity=2, unit_price=Decimal("12.50")),),
            total=Decimal("25.00"),
        )
        return self._next(payload, **fields)

    def event(self, payload: type[OrderEvent], **more: Any) -> Envelope:
        """A later event of the order."""
        return self._next(payload(order_id=self.id, customer_id=self._customer_id, **more))

    def _next(self, payload: EventPayload, **fields: Any) -> Envelope:
        self._sequence += 1
        source = {"source": "/services/order", **fields}
        return envelope_of(payload, subject=str(self.id), sequence=self._sequence, **source)
