"""Counts the round trips to Postgres with which the notification service handles an event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench, deleted, reported
from benchmarks.suite.processes import Measured, service
from benchmarks.suite.round_trips import CountedServer, counted_server
from event_trio.contracts.orders import OrderConfirmed, OrderedLine, OrderEvent, OrderPlaced
from event_trio.envelope import Envelope, sequence_text, uuid7

QUEUE = "notification-order-events.fifo"
TOPIC = "notification-events.fifo"
COUNTED = 60
REST_SECONDS = 8.0
SECONDS = 30.0
ORDER_SOURCE = "/services/order"


async def handled_round_trips(bench: Bench) -> tuple[float, float]:
    """Round trips of an `order.placed` and of an `order.confirmed`, one event at a time.

    What the service does at rest in the same time is subtracted.
    """
    dead_letters = [f"{QUEUE[:-5]}-{kind}.fifo" for kind in ("dlq", "undelivered")]
    async with (
        stub_broker(bench.folder, subscriptions=[f"{TOPIC}=unread.fifo"], queues=[QUEUE, *dead_letters]) as stub,
        databases.copied(bench.admin_url, await bench.seed("notification")) as url,
        counted_server(urlsplit(url).port or 5432) as counted,
        service("services.notification.main", _environment(counted.url(url), stub.url), bench.folder) as measured,
    ):
        handling = Handling(stub, counted, measured)
        first, orders = ([uuid7() for _ in range(COUNTED)] for _ in range(2))
        # Every connection of the pool is open and has prepared its statements before anything is counted.
        await handling.handle([event for order in first for event in _both(order)])
        counted.clear()
        await asyncio.sleep(REST_SECONDS)
        at_rest = counted.round_trips.total() / REST_SECONDS
        placed, confirmed = zip(*map(_both, orders), strict=True)
        found = await handling.counted(placed, at_rest), await handling.counted(confirmed, at_rest)
        await _ensure_handled(url, (len(first) + len(orders)) * 2)
        return found


class Handling:
    """Lets a service handle events, one after the other."""

    def __init__(self, stub: StubBrokerProcess, counted: CountedServer, measured: Measured) -> None:
        self._stub = stub
        self._counted = counted
        self._measured = measured
        self._handled = 0

    async def handle(self, events: Sequence[Envelope]) -> None:
        """Put each into the queue when the one before was deleted from it."""
        for event in events:
            self._handled += 1
            await self._stub.fill(QUEUE, [_message(event)])
            done = deleted(QUEUE, self._handled)
            await reported(self._stub, done, seconds=SECONDS, what="the notification service", measured=self._measured)

    async def counted(self, events: Sequence[Envelope], at_rest: float) -> float:
        """Round trips of an event, less `at_rest` of them a second."""
        self._counted.clear()
        began = time.monotonic()
        await self.handle(events)
        found = self._counted.round_trips.total() - at_rest * (time.monotonic() - began)
        return max(0.0, found) / len(events)


async def _ensure_handled(url: str, count: int) -> None:
    """Raise RuntimeError unless all events were handled; deferring one takes other statements."""
    handled = await databases.fetch_value(url, "SELECT count(*) FROM processed_message WHERE outcome = 'handled'")
    if handled != count:
        raise RuntimeError(f"the notification service handled {handled} of {count} events")


def _environment(url: str, endpoint: str) -> dict[str, str]:
    return {
        "DATABASE_URL": databases.as_role(url, "notification_api"),
        "AWS_ENDPOINT_URL": endpoint,
        "QUEUE_WAIT_SECONDS": "5",
        "LOG_FORMAT": "json",
    }


def _both(order: UUID) -> tuple[Envelope, Envelope]:
    """The events of an order that is placed and confirmed."""
    return _event(_placed(order), 1), _event(OrderConfirmed(order_id=order, customer_id="customer-1"), 2)


def _placed(order: UUID) -> OrderPlaced:
    line = OrderedLine(sku="TEA-EARL-GREY-100", quantity=2, unit_price=Decimal("12.50"))
    return OrderPlaced(
        order_id=order,
        customer_id="customer-1",
        recipient="ada@example.com",
        locale="en",
        currency="EUR",
        lines=(line,),
        total=Decimal("25.00"),
    )


def _event(payload: OrderEvent, sequence: int) -> Envelope:
    return Envelope.model_validate(
        {
            "id": uuid7(),
            "source": ORDER_SOURCE,
            "type": payload.type,
            "subject": str(payload.order_id),
            "time": datetime.now(UTC),
            "dataschema": f"https://schemas.example.com/{payload.type}/{payload.version}",
            "partitionkey": str(payload.order_id),
            "sequence": sequence_text(sequence),
            "correlationid": "benchmark",
            "data": payload.model_dump(mode="json"),
        }
    )


def _message(event: Envelope) -> dict[str, Any]:
    return {
        "group": event.partitionkey,
        "id": str(event.id),
        "body": event.to_bytes().decode(),
        "attributes": {"type": {"DataType": "String", "StringValue": event.type}},
    }
