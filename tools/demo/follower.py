"""Follows the orders that change, whoever changes them, and shows each event when its journey is complete."""

import asyncio
from collections import Counter
from datetime import datetime

import httpx

from tools.demo.customers import PlacedOrder
from tools.demo.display import Display
from tools.demo.errors import NotificationsMissing
from tools.demo.journey import Journey, Journeys

PAUSE_SECONDS = 0.25
PAGE = 50


class Follower:
    """Looks at the newest orders again and again."""

    def __init__(self, orders: httpx.AsyncClient, journeys: Journeys, display: Display, *, since: datetime) -> None:
        self._orders = orders
        self._journeys = journeys
        self._screen = display
        self._since = since
        self._shown: set[str] = set()
        self._complete: Counter[str] = Counter()
        """Events shown, by order; an order's version is the number of its events."""

    async def follow(self, *, patiently: bool = False) -> None:
        """Never returns; `patiently` it looks again when a service does not answer."""
        while True:
            try:
                await self.look()
            except httpx.HTTPError:
                if not patiently:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Wait until every event has arrived.

        Raises:
            NotificationsMissing: some have not, after so many seconds.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while missing := await self.look():
            if asyncio.get_running_loop().time() > deadline:
                raise NotificationsMissing(f"After {seconds:.0f} s there is no end of it: {_told(missing)}.")
            await asyncio.sleep(PAUSE_SECONDS)

    async def look(self) -> list[Journey]:
        """Show what has arrived since the last look; returns what has not."""
        changed = await self._changed()
        handlings = await self._journeys.handlings(since=self._since) if changed else {}
        missing = []
        for journey in await self._journeys.of_all(changed, handlings):
            if not journey.complete:
                missing.append(journey)
            elif journey.event_id not in self._shown:
                self._shown.add(journey.event_id)
                self._complete[journey.order_id] += 1
                self._screen.arrived(journey)
        self._screen.under_way(missing)
        return missing

    async def _changed(self) -> list[PlacedOrder]:
        answer = await self._orders.get("/v1/orders", params={"limit": PAGE})
        answer.raise_for_status()
        return [
            PlacedOrder(item["id"], item["customer_id"])
            for item in answer.json()["items"]
            if datetime.fromisoformat(item["updated_at"]) >= self._since
            and item["version"] > self._complete[item["id"]]
        ]


def _told(missing: list[Journey]) -> str:
    first = missing[0]
    where = (
        "not sent" if first.sent is None else "not seen to be published" if first.published is None else "not handled"
    )
    return f"{len(missing)} events have not arrived, the first is {first.type} of order {first.order_id}, {where}"
