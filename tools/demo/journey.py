"""The journeys of events, put together from what the two services show of them through REST."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from tools.demo.customers import PlacedOrder

# What the notification service has subscribed to; of the others only publishing can be seen.
HANDLED_TYPES = {"order.placed", "order.confirmed", "order.shipped", "order.delivered", "order.cancelled"}
HANDLED = {"handled", "handled_stale"}
PAGE = 100


@dataclass(frozen=True)
class Journey:
    """One event on its way; a time is None until it got there."""

    customer: str
    order_id: str
    event_id: str
    type: str
    sequence: int
    recorded: datetime
    sent: datetime | None
    published: datetime | None
    handled: datetime | None
    outcome: str | None

    @property
    def complete(self) -> bool:
        return self.published is not None and (self.handled is not None or self.type not in HANDLED_TYPES)

    @property
    def recorded_to_handled(self) -> float | None:
        """Milliseconds."""
        return milliseconds(self.recorded, self.handled)


@dataclass(frozen=True)
class ProcessedEvent:
    """What the notification service says of an event."""

    order_id: str
    type: str
    happened: datetime
    at: datetime
    outcome: str


class Journeys:
    """Reads both services."""

    def __init__(self, orders: httpx.AsyncClient, notifications: httpx.AsyncClient) -> None:
        self._orders = orders
        self._notifications = notifications

    async def of(self, order: PlacedOrder, handlings: Mapping[str, ProcessedEvent]) -> list[Journey]:
        """The journeys of an order's events, in order, as they stand now."""
        answer = await self._orders.get(f"/v1/orders/{order.id}/events", params={"limit": PAGE})
        answer.raise_for_status()
        journeys = []
        for event in answer.json()["items"]:
            if event["recorded_at"] is None:
                continue  # the outbox has it no longer: it was pruned, or discarded
            handling = handlings.get(event["id"])
            journeys.append(
                Journey(
                    customer=order.customer,
                    order_id=order.id,
                    event_id=event["id"],
                    type=event["type"],
                    sequence=event["sequence"],
                    recorded=datetime.fromisoformat(event["recorded_at"]),
                    sent=_time(event["first_sent_at"]),
                    published=_time(event["first_published_at"]),
                    handled=handling.at if handling else None,
                    outcome=handling.outcome if handling else None,
                )
            )
        return journeys

    async def of_all(self, orders: Collection[PlacedOrder], handlings: Mapping[str, ProcessedEvent]) -> list[Journey]:
        """The same for many orders, a few at a time."""
        turns = asyncio.Semaphore(4)

        async def read(order: PlacedOrder) -> list[Journey]:
            async with turns:
                return await self.of(order, handlings)

        return [journey for found in await asyncio.gather(*map(read, orders)) for journey in found]

    async def handlings(self, *, since: datetime) -> dict[str, ProcessedEvent]:
        """What the notification service is done with since then, by event id."""
        found: dict[str, ProcessedEvent] = {}
        cursor: str | None = None
        while True:
            page = await self._page("/v1/processed-messages", cursor)
            for item in page["items"]:
                if item["time"]:  # a message that is no event has none
                    found[item["event_id"]] = _handling(item)
            cursor = page["next_cursor"]
            # Newest first: the rest is older still.
            if cursor is None or datetime.fromisoformat(page["items"][-1]["processed_at"]) < since:
                return found

    async def notified(self, orders: Collection[PlacedOrder]) -> set[str]:
        """Ids of those orders of whose placing the customer was notified."""
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

    async def _page(self, path: str, cursor: str | None) -> dict[str, Any]:
        params: dict[str, str | int] = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
        answer = await self._notifications.get(path, params=params)
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        return page


def milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    """From one time to the next, if both have come."""
    return (end - start).total_seconds() * 1000 if start and end else None


def _handling(item: dict[str, Any]) -> ProcessedEvent:
    return ProcessedEvent(
        order_id=item["subject"],
        type=item["type"],
        happened=datetime.fromisoformat(item["time"]),
        at=datetime.fromisoformat(item["processed_at"]),
        outcome=item["outcome"],
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
