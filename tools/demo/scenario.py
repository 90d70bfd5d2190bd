"""What the demo shows: the events of a few orders one by one, then the latency of many."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import httpx

from tools.demo.customers import CUSTOMERS, LIFECYCLES, PlacedOrder, Shop
from tools.demo.display import Display
from tools.demo.errors import NotificationsMissing
from tools.demo.follower import Follower
from tools.demo.journey import JourneyReader
from tools.demo.latency import percentile
from tools.demo.system import run_together

TIMEOUT_SECONDS = 45.0
POLL_SECONDS = 0.3
STAGGER_SECONDS = 0.2
ORDERS = 200
# An order costs about 90 ms of processor time here, 40 of them in LocalStack: two cores sustain some twenty a second.
# At a higher rate the latency would measure the length of the queue.
ORDERS_PER_SECOND = 20.0


class Scenario:
    """Places orders and shows their events; `count` orders are placed to measure the latency."""

    def __init__(
        self, orders: httpx.AsyncClient, notifications: httpx.AsyncClient, display: Display, *, count: int
    ) -> None:
        self._orders = orders
        self._shop = Shop(orders)
        self._journeys = JourneyReader(orders, notifications)
        self._display = display
        self._count = count
        self._placed: list[PlacedOrder] = []

    async def show_lifecycles(self) -> None:
        """Run some orders through their lifecycle and show every event. Raises NotificationsMissing."""
        orders = 2 * len(CUSTOMERS)
        self._display.title(f"{orders} orders of {len(CUSTOMERS)} customers: each event from commit to notification")
        self._display.line(
            "(sent: since recorded; published and processed: since sent; total: recorded to processed)", "dim"
        )
        self._display.journey_heading()
        follower = Follower(self._orders, self._journeys, self._display, since=datetime.now(UTC))
        following = asyncio.create_task(follower.follow())
        try:
            await run_together(*(self._run_lifecycle(number) for number in range(orders)))
        finally:
            following.cancel()
        await follower.finish(TIMEOUT_SECONDS)

    async def measure_latency(self) -> None:
        """Place many orders at a steady rate and show the latency. Raises NotificationsMissing."""
        self._display.title(f"{self._count} orders at {ORDERS_PER_SECOND:.0f} per second")
        since = datetime.now(UTC)
        with self._display.step("placing the orders"):
            orders = await self._shop.place_many(self._count, ORDERS_PER_SECOND)
        self._placed += orders
        with self._display.step("waiting until the last event is processed"):
            latencies = await self._latencies(orders, since)
        self._display.line(
            f"  recorded to processed: p50 {percentile(latencies, 50):.0f} ms, p99 {percentile(latencies, 99):.0f} ms, "
            f"maximum {max(latencies):.0f} ms"
        )

    async def ensure_all_notified(self) -> None:
        """Wait until the placement of every order was notified. Raises NotificationsMissing."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        while len(found := await self._journeys.notified(self._placed)) < len(self._placed):
            if asyncio.get_running_loop().time() > deadline:
                raise _missing("notified", self._placed, found)
            await asyncio.sleep(POLL_SECONDS)
        self._display.line(f"  all {len(self._placed)} orders were notified to their customers", "green")

    async def follow_new_orders(self, *, tolerate_outages: bool = False) -> None:
        """Show the events of orders that are placed from now on; never returns."""
        follower = Follower(self._orders, self._journeys, self._display, since=datetime.now(UTC))
        await follower.follow(tolerate_outages=tolerate_outages)

    async def _run_lifecycle(self, number: int) -> None:
        customer = CUSTOMERS[number % len(CUSTOMERS)]
        await asyncio.sleep(number * STAGGER_SECONDS)
        order = await self._shop.place(customer)
        self._placed.append(order)
        await self._shop.run_lifecycle(order, LIFECYCLES[(number + number // len(CUSTOMERS)) % len(LIFECYCLES)])

    async def _latencies(self, orders: Collection[PlacedOrder], since: datetime) -> list[float]:
        """Milliseconds from the placement of each order, within its transaction, until the event was processed."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        wanted = {order.id for order in orders}
        while True:
            # Read in a few pages: a request for each order would disturb the measurement.
            events = (await self._journeys.processed_events(since=since)).values()
            latencies = {
                event.order_id: (event.processed_at - event.occurred_at).total_seconds() * 1000
                for event in events
                if event.type == "order.placed" and event.order_id in wanted
            }
            if len(latencies) == len(wanted):
                return list(latencies.values())
            if asyncio.get_running_loop().time() > deadline:
                raise _missing("processed", orders, latencies)
            await asyncio.sleep(POLL_SECONDS)


def _missing(state: str, orders: Collection[PlacedOrder], found: Collection[str]) -> NotificationsMissing:
    missing = [order.id for order in orders if order.id not in found]
    return NotificationsMissing(
        f"{len(missing)} of {len(orders)} orders were not {state} within {TIMEOUT_SECONDS:.0f} s, "
        f"the first is {missing[0]}."
    )
