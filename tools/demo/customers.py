"""Customers who place orders and what becomes of these, driven through REST as anybody would."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tools.demo.errors import DemoFailed


@dataclass(frozen=True)
class Customer:
    """Somebody who orders."""

    name: str
    locale: str
    currency: str
    sku: str
    price: str


@dataclass(frozen=True)
class PlacedOrder:
    """An order that was placed."""

    id: str
    customer: str


CUSTOMERS = (
    Customer("ada", "en", "EUR", "TEA-EARL-GREY-100", "12.50"),
    Customer("mina", "ko", "KRW", "SEAWEED-SNACK-20", "9000"),
    Customer("alan", "en", "GBP", "CHESS-SET-OAK", "49.90"),
    Customer("jisoo", "ko", "KRW", "NOTEBOOK-A5", "4500"),
)
# What may become of an order after it was placed.
DELIVERED = ("confirm", "ship", "deliver")
CANCELLED = ("cancel",)
HELD = ("confirm", "hold", "release", "ship", "deliver")
LIVES = (DELIVERED, DELIVERED, CANCELLED, HELD)
REASONS = {"cancel": "the customer changed their mind", "hold": "the address is being checked"}
AT_ONCE = 8
THOUGHT_SECONDS = 0.3  # between two things that happen to an order, so that one can watch


class Shop:
    """The order service as its customers see it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def place(self, customer: Customer) -> PlacedOrder:
        """Place an order.

        Raises:
            DemoFailed: the service did not take it.
        """
        body = {
            "customer_id": customer.name,
            "recipient": f"{customer.name}@example.com",
            "locale": customer.locale,
            "currency": customer.currency,
            "lines": [{"sku": customer.sku, "quantity": 2, "unit_price": customer.price}],
        }
        answer = await self._client.post("/v1/orders", json=body)
        if answer.status_code != httpx.codes.CREATED:
            raise DemoFailed(f"The order service did not take an order: {answer.status_code} {answer.text}")
        return PlacedOrder(answer.json()["id"], customer.name)

    async def change(self, order: PlacedOrder, action: str) -> None:
        """Confirm, ship, deliver, cancel, hold or release.

        Raises:
            DemoFailed: the service refused.
        """
        body = {"reason": REASONS[action]} if action in REASONS else None
        answer = await self._client.post(f"/v1/orders/{order.id}/{action}", json=body)
        if not answer.is_success:
            raise DemoFailed(f"The order service did not {action} an order: {answer.status_code} {answer.text}")

    async def live(self, order: PlacedOrder, life: Sequence[str]) -> None:
        """Drive one order through its life, with time to watch in between."""
        for action in life:
            await asyncio.sleep(THOUGHT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            await self.change(order, action)

    async def rush(self, count: int, per_second: float) -> list[PlacedOrder]:
        """Place orders at a steady rate, or at that of the service if that is less."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        turns = asyncio.Semaphore(AT_ONCE)

        async def place(number: int) -> PlacedOrder:
            await asyncio.sleep(max(0.0, started + number / per_second - loop.time()))
            async with turns:
                return await self.place(CUSTOMERS[number % len(CUSTOMERS)])

        return list(await asyncio.gather(*map(place, range(count))))
