"""Places orders: in a closed loop for costs, or at intended times for latencies."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

ORDER = {
    "customer_id": "customer-1",
    "recipient": "ada@example.com",
    "locale": "en",
    "currency": "EUR",
    "lines": [
        {"sku": "TEA-EARL-GREY-100", "quantity": 2, "unit_price": "12.50"},
        {"sku": "MUG-BLUE", "quantity": 1, "unit_price": "9.00"},
    ],
}
REQUEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was taken. Times are monotonic seconds."""

    order_id: str
    intended_at: float
    answered_at: float


@asynccontextmanager
async def customer(url: str, *, connections: int) -> AsyncIterator[Customer]:
    """A client of the order service."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(url, timeout=timeout, connector=connector) as session:
        yield Customer(session)


class Customer:
    """Places orders; an answer other than 201 raises RuntimeError."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def place(self, *, key: str | None = None, intended_at: float | None = None) -> Placed:
        """Place one order, with an Idempotency-Key if one is given."""
        began = time.monotonic()
        headers = {"Idempotency-Key": key} if key else {}
        async with self._session.post("/v1/orders", json=ORDER, headers=headers) as answer:
            body = await answer.json()
            if answer.status != 201:
                raise RuntimeError(f"an order was answered with {answer.status}: {body}")
        return Placed(str(body["id"]), began if intended_at is None else intended_at, time.monotonic())

    async def closed_loop(self, count: int, in_flight: int) -> list[Placed]:
        """Place so many orders, each as soon as one of `in_flight` loops is free."""
        left, placed = iter(range(count)), list[Placed]()

        async def loop() -> None:
            for _ in left:
                placed.append(await self.place())

        async with asyncio.TaskGroup() as loops:
            for _ in range(in_flight):
                loops.create_task(loop())
        return placed

    async def open_loop(self, rate: float, seconds: float, *, seed: int = 1) -> list[Placed]:
        """Place orders at random intended times (Poisson), whether or not earlier ones are answered."""
        chance = random.Random(seed)  # noqa: S311 - arrival times, no secret
        began, at, tasks = time.monotonic() + 0.1, 0.0, list[asyncio.Task[Placed]]()
        async with asyncio.TaskGroup() as running:
            while (at := at + chance.expovariate(rate)) < seconds:
                await asyncio.sleep(max(0.0, began + at - time.monotonic()))
                tasks.append(running.create_task(self.place(intended_at=began + at)))
        return [task.result() for task in tasks]
