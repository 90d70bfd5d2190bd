"""What the demo shows of the running system: a few orders closely, then many by the figures."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import httpx

from tools.demo.customers import CUSTOMERS, LIVES, PlacedOrder, Shop
from tools.demo.display import Display
from tools.demo.errors import NotificationsMissing
from tools.demo.follower import Follower
from tools.demo.journey import Journeys
from tools.demo.latency import percentile
from tools.demo.system import together

PATIENCE_SECONDS = 45.0
PAUSE_SECONDS = 0.3
STAGGER_SECONDS = 0.2
ORDERS = 200
# An order costs about 90 ms of processor here, 40 of them LocalStack's: two cores manage some twenty a second, and
# above that the figures would only tell how long the queue has become.
ORDERS_PER_SECOND = 20.0


class Scenario:
    """Drives and shows."""

    def __init__(
        self, orders: httpx.AsyncClient, notifications: httpx.AsyncClient, display: Display, *, count: int
    ) -> None:
        self._orders = orders
        self._shop = Shop(orders)
        self._journeys = Journeys(orders, notifications)
        self._screen = display
        self._count = count
        self._placed: list[PlacedOrder] = []

    async def closely(self) -> None:
        """Some orders through their whole life, every event with its times.

        Raises:
            NotificationsMissing: an event did not arrive.
        """
        self._screen.title("Orders of four customers, each event from its commit to its notification")
        self._screen.line(
            "(sent: after recording; published and handled: after sending; in all: recorded to handled)", "dim"
        )
        self._screen.journey_heading()
        follower = Follower(self._orders, self._journeys, self._screen, since=datetime.now(UTC))
        following = asyncio.create_task(follower.follow())
        try:
            await together(*(self._live(number) for number in range(2 * len(CUSTOMERS))))
        finally:
            following.cancel()
        await follower.finish(PATIENCE_SECONDS)

    async def by_figures(self) -> None:
        """Many orders at a steady rate.

        Raises:
            NotificationsMissing: one was not handled.
        """
        self._screen.title(f"{self._count} orders, {ORDERS_PER_SECOND:.0f} a second")
        since = datetime.now(UTC)
        with self._screen.step("placing them"):
            orders = await self._shop.rush(self._count, ORDERS_PER_SECOND)
        self._placed += orders
        with self._screen.step("until the last one was handled"):
            took = await self._times(orders, since)
        self._screen.line(
            f"  recorded to handled: p50 {percentile(took, 50):.0f} ms, p99 {percentile(took, 99):.0f} ms, "
            f"longest {max(took):.0f} ms"
        )

    async def ensure_everybody_was_notified(self) -> None:
        """Raise NotificationsMissing if a customer was not notified of an order."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while len(found := await self._journeys.notified(self._placed)) < len(self._placed):
            if asyncio.get_running_loop().time() > deadline:
                raise _missing("notified", self._placed, found)
            await asyncio.sleep(PAUSE_SECONDS)
        self._screen.line(f"  all {len(self._placed)} orders: the customer was notified", "green")

    async def onwards(self, *, patiently: bool = False) -> None:
        """Show what anybody else does from now on; never returns. `patiently`: also while a service does not answer."""
        follower = Follower(self._orders, self._journeys, self._screen, since=datetime.now(UTC))
        await follower.follow(patiently=patiently)

    async def _live(self, number: int) -> None:
        customer = CUSTOMERS[number % len(CUSTOMERS)]
        await asyncio.sleep(number * STAGGER_SECONDS)
        order = await self._shop.place(customer)
        self._placed.append(order)
        await self._shop.live(order, LIVES[(number + number // len(CUSTOMERS)) % len(LIVES)])

    async def _times(self, orders: Collection[PlacedOrder], since: datetime) -> list[float]:
        """Milliseconds from the moment that an order was placed, within its transaction, until it was handled."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        wanted = {order.id for order in orders}
        while True:
            # Only what is read in a few pages: a request for each order would disturb what is measured.
            placed = [h for h in (await self._journeys.handlings(since=since)).values() if h.type == "order.placed"]
            took = {h.order_id: (h.at - h.happened).total_seconds() * 1000 for h in placed if h.order_id in wanted}
            if len(took) == len(wanted):
                return list(took.values())
            if asyncio.get_running_loop().time() > deadline:
                raise _missing("handled", orders, took)
            await asyncio.sleep(PAUSE_SECONDS)


def _missing(what: str, orders: Collection[PlacedOrder], found: Collection[str]) -> NotificationsMissing:
    missing = [order.id for order in orders if order.id not in found]
    return NotificationsMissing(
        f"{len(missing)} of {len(orders)} orders were not {what} within {PATIENCE_SECONDS:.0f} s, "
        f"the first is {missing[0]}."
    )
