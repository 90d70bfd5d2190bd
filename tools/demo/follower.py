"""Follows the orders that change, and shows each event when its journey is complete."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import httpx

from tools.demo.customers import PlacedOrder
from tools.demo.display import Display
from tools.demo.errors import NotificationsMissing
from tools.demo.journey import Journey, JourneyReader

POLL_SECONDS = 0.25
# Without new events the orders are read less and less often: each read costs the order service a page of orders.
REST_SECONDS = 2.0
SLOWER = 1.25
PAGE = 50


class Follower:
    """Polls the newest orders and their events."""

    def __init__(
        self, orders: httpx.AsyncClient, journeys: JourneyReader, display: Display, *, since: datetime
    ) -> None:
        self._orders = orders
        self._journeys = journeys
        self._display = display
        self._since = since
        self._shown: set[str] = set()
        self._shown_by_order: Counter[str] = Counter()
        """Number of events shown by order id; an order's version is the number of its events."""

    async def follow(self, *, tolerate_outages: bool = False) -> None:
        """Poll forever; with `tolerate_outages`, also while a service does not answer."""
        wait = POLL_SECONDS
        while True:
            shown = len(self._shown)
            try:
                idle = not await self.poll() and len(self._shown) == shown
            except httpx.HTTPError:
                if not tolerate_outages:
                    raise
                idle = False
            wait = min(wait * SLOWER, REST_SECONDS) if idle else POLL_SECONDS
            await asyncio.sleep(wait)

    async def finish(self, seconds: float) -> None:
        """Wait until every journey is complete. Raises NotificationsMissing after this time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while missing := await self.poll():
            if asyncio.get_running_loop().time() > deadline:
                raise NotificationsMissing(f"Not all events were processed in {seconds:.0f} s: {_describe(missing)}.")
            await asyncio.sleep(POLL_SECONDS)

    async def poll(self) -> list[Journey]:
        """Show the journeys that became complete; returns the others."""
        changed = await self._changed_orders()
        processed = await self._journeys.processed_events(since=self._since) if changed else {}
        missing = []
        for journey in await self._journeys.of_all(changed, processed):
            if not journey.is_complete:
                missing.append(journey)
            elif journey.event_id not in self._shown:
                self._shown.add(journey.event_id)
                self._shown_by_order[journey.order_id] += 1
                self._display.journey(journey)
        self._display.in_progress(missing)
        return missing

    async def _changed_orders(self) -> list[PlacedOrder]:
        answer = await self._orders.get("/v1/orders", params={"limit": PAGE})
        answer.raise_for_status()
        return [
            PlacedOrder(item["id"], item["customer_id"])
            for item in answer.json()["items"]
            if datetime.fromisoformat(item["updated_at"]) >= self._since
            and item["version"] > self._shown_by_order[item["id"]]
        ]


def _describe(missing: list[Journey]) -> str:
    first = missing[0]
    state = "not sent" if first.sent is None else "not confirmed" if first.published is None else "not processed"
    return f"{len(missing)} are missing, the first is {first.type} of order {first.order_id} ({state})"
