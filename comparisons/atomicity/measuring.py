"""Measures the ways beside each other: latency, throughput on one item, and how long rows are locked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from comparisons.atomicity.faults import Faults
from comparisons.atomicity.saga import Choreography
from comparisons.atomicity.saga_service import SagaService
from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import ORDERS, PAYMENT, STOCK, Purchase, World

POLL_SECONDS = 0.002
PLENTY = 1_000_000
FINAL_EVENTS = {"payment.taken", "payment.refused", "stock.refused"}

Place = Callable[[Purchase], Awaitable[None]]
"""Places a purchase and returns when its result is known."""


@dataclass
class PurchaseLoad:
    """What the clients of one run saw. Times are in milliseconds."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    locked_ms: list[float] = field(default_factory=list)
    accepted: int = 0

    @property
    def rate(self) -> float:
        """Accepted purchases a second."""
        return self.accepted / self.seconds


async def load(way: type[Way], world: World, *, clients: int, seconds: float, delay: float, run: str) -> PurchaseLoad:
    """Closed loops of clients that all buy the same item, each with its own account.

    `delay` is the time of a message or call between two services. `run` makes names unique.
    """
    item, found = f"item-{run}", PurchaseLoad()
    await world.fund(STOCK, item, PLENTY)
    for client in range(clients):
        await world.fund(PAYMENT, f"customer-{run}-{client}", PLENTY)
    numbers = itertools.count(1)
    for times in world.locked_ms.values():
        times.clear()
    async with placing(way, world, delay) as place:
        began = time.monotonic()

        async def buy(client: int) -> None:
            while time.monotonic() - began < seconds:
                purchase = Purchase(f"{run}-{next(numbers)}", item, 1, f"customer-{run}-{client}", 1)
                at = time.monotonic()
                await place(purchase)
                found.latencies_ms.append((time.monotonic() - at) * 1000)

        async with asyncio.TaskGroup() as buying:
            for client in range(clients):
                buying.create_task(buy(client))
        found.seconds = time.monotonic() - began
    found.locked_ms = list(world.locked_ms[STOCK])
    found.accepted = await world.pools[ORDERS].fetchval(
        "SELECT count(*) FROM purchase WHERE item = $1 AND state = 'accepted'", item
    )
    return found


@contextlib.asynccontextmanager
async def placing(way: type[Way], world: World, delay: float) -> AsyncIterator[Place]:
    """How a client places a purchase and waits for its result."""
    if issubclass(way, Choreography):
        async with _carried(way, world, delay) as place:
            yield place
        return
    made = way(world)

    async def placed(purchase: Purchase) -> None:
        await made.place(purchase, Faults(delay=delay))

    yield placed


class _WaitedFor:
    """The purchases whose clients wait for a result."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    async def wait(self, purchase: str) -> None:
        await self._waiting[purchase].wait()
        del self._waiting[purchase]

    def expect(self, purchase: str) -> None:
        self._waiting[purchase] = asyncio.Event()

    def finish(self, purchase: str) -> None:
        if purchase in self._waiting:
            self._waiting[purchase].set()


@contextlib.asynccontextmanager
async def _carried(way: type[Choreography], world: World, delay: float) -> AsyncIterator[Place]:
    """A saga whose events are carried by a task for each service, as by its relay."""
    waited = _WaitedFor()

    class _Reporting(SagaService):
        def handled(self, type: str, purchase: str) -> None:
            if self.name == ORDERS and type in FINAL_EVENTS:
                waited.finish(purchase)

    made = type(way.__name__, (way,), {"service": _Reporting})(world)
    faults = Faults(delay=delay)

    async def carry(service: SagaService) -> None:
        while True:
            if not await made.carry(service, faults):
                await asyncio.sleep(POLL_SECONDS)

    async def place(purchase: Purchase) -> None:
        waited.expect(purchase.id)
        await made.request(purchase)
        await waited.wait(purchase.id)

    carriers = [asyncio.create_task(carry(service)) for service in made.services]
    try:
        yield place
    finally:
        for carrier in carriers:
            carrier.cancel()
        await asyncio.wait(carriers)
