"""The journeys of events from the commit to the notification, read from the REST APIs of the two services."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from tools.demo.customers import PlacedOrder

# The event types that the notification service subscribes to. Other types are published, but not processed.
SUBSCRIBED_TYPES = {"order.placed", "order.confirmed", "order.shipped", "order.delivered", "order.cancelled"}
PAGE = 100
CONCURRENT_READS = 4


@dataclass(frozen=True)
class Journey:
    """The journey of one event; a time is None until the event got there."""

    customer: str
    order_id: str
    event_id: str
    type: str
    sequence: int
    recorded: datetime
    sent: datetime | None
    published: datetime | None
    processed: datetime | None
    outcome: str | None

    @property
    def is_complete(self) -> bool:
        """Whether the event is published and, if subscribed to, processed."""
        return self.published is not None and (self.processed is not None or self.type not in SUBSCRIBED_TYPES)

    @property
    def total_ms(self) -> float | None:
        """Milliseconds from recording to processing."""
        return milliseconds(self.recorded, self.processed)


@dataclass(frozen=True)
class ProcessedEvent:
    """An event that the notification service processed."""

    order_id: str
    type: str
    occurred_at: datetime
    processed_at: datetime
    outcome: str


class JourneyReader:
    """Reads journeys from both services."""

    def __init__(self, orders: httpx.AsyncClient, notifications: httpx.AsyncClient) -> None:
        self._orders = orders
        self._notifications = notifications

    async def of_all(self, orders: Collection[PlacedOrder], processed: Mapping[str, ProcessedEvent]) -> list[Journey]:
        """The journeys of the events of these orders; an order's events are in their order."""
        slots = asyncio.Semaphore(CONCURRENT_READS)

        async def read(order: PlacedOrder) -> list[Journey]:
            async with slots:
                return await self._of(order, processed)

        return [journey for journeys in await asyncio.gather(*map(read, orders)) for journey in journeys]

    async def processed_events(self, *, since: datetime) -> dict[str, ProcessedEvent]:
        """What the notification service has processed since then, by event id."""
        found: dict[str, ProcessedEvent] = {}
        cursor: str | None = None
        while True:
            page = await self._page("/v1/processed-messages", cursor)
            for item in page["items"]:
                if item["time"]:  # null for a message that is not an event
                    found[item["event_id"]] = _processed_event(item)
            cursor = page["next_cursor"]
            # The newest come first, so the remaining pages are older still.
            if cursor is None or datetime.fromisoformat(page["items"][-1]["processed_at"]) < since:
                return found

    async def notified(self, orders: Collection[PlacedOrder]) -> set[str]:
        """The ids of those orders whose placement was notified to the customer."""
        wanted = {order.id for order in orders}
        found: set[str] = set()
        cursor: str | None = None
        while True:
            page = await self._page("/v1/notifications", cursor)
            for item in page["items"]:
                if item["event_type"] == "order.placed" and item["status"] == "sent":
                    found.add(item["order_id"])
            cursor = page["next_cursor"]
            if cursor is None or wanted <= found:
                return wanted & found

    async def _of(self, order: PlacedOrder, processed: Mapping[str, ProcessedEvent]) -> list[Journey]:
        answer = await self._orders.get(f"/v1/orders/{order.id}/events", params={"limit": PAGE})
        answer.raise_for_status()
        # An event that was pruned or discarded is no longer in the outbox and has no times.
        events = [event for event in answer.json()["items"] if event["recorded_at"] is not None]
        return [_journey(order, event, processed.get(event["id"])) for event in events]

    async def _page(self, path: str, cursor: str | None) -> dict[str, Any]:
        params: dict[str, str | int] = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
        answer = await self._notifications.get(path, params=params)
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        return page


def milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    """The time between two events; None when one of them has not happened."""
    return (end - start).total_seconds() * 1000 if start and end else None


def _journey(order: PlacedOrder, event: Mapping[str, Any], processed: ProcessedEvent | None) -> Journey:
    return Journey(
        customer=order.customer,
        order_id=order.id,
        event_id=event["id"],
        type=event["type"],
        sequence=event["sequence"],
        recorded=datetime.fromisoformat(event["recorded_at"]),
        sent=_time(event["first_sent_at"]),
        published=_time(event["first_published_at"]),
        processed=processed.processed_at if processed else None,
        outcome=processed.outcome if processed else None,
    )


def _processed_event(item: Mapping[str, Any]) -> ProcessedEvent:
    return ProcessedEvent(
        order_id=item["subject"],
        type=item["type"],
        occurred_at=datetime.fromisoformat(item["time"]),
        processed_at=datetime.fromisoformat(item["processed_at"]),
        outcome=item["outcome"],
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
