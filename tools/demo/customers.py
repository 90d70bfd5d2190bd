"""Customers who place and change orders through the REST API."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tools.demo.errors import DemoFailed


@dataclass(frozen=True)
class DemoCustomer:
    """A customer and what they order."""

    name: str
    locale: str
    currency: str
    sku: str
    price: str


@dataclass(frozen=True)
class PlacedOrder:
    """An order that was accepted."""

    id: str
    customer: str


CUSTOMERS = (
    DemoCustomer("ada", "en", "EUR", "TEA-EARL-GREY-100", "12.50"),
    DemoCustomer("mina", "ko", "KRW", "SEAWEED-SNACK-20", "9000"),
    DemoCustomer("alan", "en", "GBP", "CHESS-SET-OAK", "49.90"),
    DemoCustomer("jisoo", "ko", "KRW", "NOTEBOOK-A5", "4500"),
)
# The transitions of an order after it is placed.
DELIVERED = ("confirm", "ship", "deliver")
CANCELLED = ("cancel",)
HELD = ("confirm", "hold", "release", "ship", "deliver")
LIFECYCLES = (DELIVERED, DELIVERED, CANCELLED, HELD)
REASONS = {"cancel": "the customer changed their mind", "hold": "the address is being checked"}
CONCURRENT_REQUESTS = 8
PAUSE_SECONDS = 0.3
"""Average pause between two transitions of an order, so that they can be watched."""


class Shop:
    """A client of the order service."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def place(self, customer: DemoCustomer) -> PlacedOrder:
        """Place an order. Raises DemoFailed when it is not accepted."""
        body = {
            "customer_id": customer.name,
            "recipient": f"{customer.name}@example.com",
            "locale": customer.locale,
            "currency": customer.currency,
            "lines": [{"sku": customer.sku, "quantity": 2, "unit_price": customer.price}],
        }
        answer = await self._client.post("/v1/orders", json=body)
        if answer.status_code != httpx.codes.CREATED:
            raise DemoFailed(f"The order service rejected an order: {answer.status_code} {answer.text}")
        return PlacedOrder(answer.json()["id"], customer.name)

    async def run_lifecycle(self, order: PlacedOrder, actions: Sequence[str]) -> None:
        """Apply the transitions one after the other, with pauses. Raises DemoFailed when one is rejected."""
        for action in actions:
            await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret
            await self._change(order, action)

    async def place_many(self, count: int, per_second: float) -> list[PlacedOrder]:
        """Place orders at a steady rate, or at the rate that the service sustains if that is lower."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

        async def place(number: int) -> PlacedOrder:
            await asyncio.sleep(max(0.0, started + number / per_second - loop.time()))
            async with slots:
                return await self.place(CUSTOMERS[number % len(CUSTOMERS)])

        return list(await asyncio.gather(*map(place, range(count))))

    async def _change(self, order: PlacedOrder, action: str) -> None:
        body = {"reason": REASONS[action]} if action in REASONS else None
        answer = await self._client.post(f"/v1/orders/{order.id}/{action}", json=body)
        if not answer.is_success:
            raise DemoFailed(f"The order service rejected {action!r}: {answer.status_code} {answer.text}")
