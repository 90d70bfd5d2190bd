"""The sagas over this project's relay and consumer, with LocalStack between them."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.suite.processes import CREDENTIALS, Measured, service
from benchmarks.suite.results import LatencyFound
from comparisons.atomicity.columns import COLUMNS
from comparisons.atomicity.measuring import PLENTY, POLL_SECONDS
from comparisons.atomicity.saga import Choreography, Orchestration
from comparisons.atomicity.saga_events import EVENTS
from comparisons.atomicity.saga_service import SagaService
from comparisons.atomicity.servers import databases, version
from comparisons.atomicity.ways import STATE
from comparisons.atomicity.world import ORDERS, PAYMENT, STOCK, Purchase, World
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.aws import Aws
from event_trio.consumer import Event, Router, UnknownTypes, consume
from event_trio.consumer.options import ConsumerOptions
from event_trio.consumer.policies import RetryInPlace
from event_trio.outbox import OutboxNotifier
from event_trio.testing import create_topology
from tools.embedded import localstack

if TYPE_CHECKING:
    from comparisons.atomicity.saga_service import AsyncpgConnection

REGION = "us-east-1"
PURCHASES = 25
RESULT_SECONDS = 30.0
OPTIONS = ConsumerOptions(queue_wait_seconds=1, drain_seconds=5.0)


async def latency(environment: ComparisonEnvironment) -> LineResult:
    """One client, one purchase after the other."""
    cells = {column: Cell("–") for column in COLUMNS}
    found: list[LatencyFound] = []
    for way in (Choreography, Orchestration):
        async with databases(environment, way) as world, running(environment, way, world) as saga:
            samples = await saga.buy(PURCHASES)
        each = LatencyFound(way.name, samples)
        cells[way.name] = Cell(f"p50 {each.quantile(0.5):.0f}, p99 {each.quantile(0.99):.0f} ms ({len(samples)})")
        found.append(each)
    versions = await version(environment) | {"LocalStack": localstack.version()}
    return LineResult(cells, latencies=found, versions=versions)


@dataclass(frozen=True)
class RunningSaga:
    """A saga whose relays and consumers run."""

    saga: Choreography
    notifier: OutboxNotifier

    async def buy(self, count: int) -> list[float]:
        """The milliseconds until each purchase was accepted. Raises TimeoutError for one without a result."""
        world = self.saga.world
        await world.fund(STOCK, "item", PLENTY)
        await world.fund(PAYMENT, "customer", PLENTY)
        samples = []
        for number in range(count):
            purchase, began = Purchase(f"p{number}", "item", 1, "customer", 1), time.monotonic()
            await self.place(purchase)
            samples.append((time.monotonic() - began) * 1000)
        return samples

    async def place(self, purchase: Purchase) -> str:
        """Request a purchase and wait for its result. Raises TimeoutError."""
        await self.saga.request(purchase)
        self.notifier.notify()
        async with asyncio.timeout(RESULT_SECONDS):
            while (state := await self._state(purchase)) == "pending":  # noqa: ASYNC110 - the consumer commits it
                await asyncio.sleep(POLL_SECONDS)
        return state

    async def _state(self, purchase: Purchase) -> str:
        return str(await self.saga.world.pools[ORDERS].fetchval(STATE, purchase.id))


@asynccontextmanager
async def running(
    environment: ComparisonEnvironment, way: type[Choreography], world: World
) -> AsyncIterator[RunningSaga]:
    """A relay process for each service, and a consumer for each subscription."""
    endpoint, prefix = await environment.localstack(), f"s{secrets.token_hex(3)}-"
    aws, stopping = Aws(region=REGION, endpoint_url=endpoint), asyncio.Event()
    notifiers = {name: OutboxNotifier(url) for name, url in world.urls.items()}

    saga = way(world)
    with patch.dict(os.environ, CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint}):
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            try:
                for subscriber in saga.services:
                    for publisher, router in _routers(subscriber).items():
                        made = await create_topology(publisher, subscriber.name, aws=aws, prefix=prefix)
                        tasks.create_task(
                            consume(
                                queue=made.queue,
                                router=router,
                                database=world.urls[subscriber.name],
                                unknown_types=UnknownTypes.IGNORE,
                                options=OPTIONS,
                                after_commit=notifiers[subscriber.name].notify,
                                stopping=stopping,
                            )
                        )
                for notifier in notifiers.values():
                    tasks.create_task(notifier.run(stopping))
                relays = [_relay(environment, world, name, endpoint, prefix) for name in world.urls]
                await asyncio.gather(*(stack.enter_async_context(relay) for relay in relays))
                yield RunningSaga(saga, notifiers[ORDERS])
            finally:
                stopping.set()


def _relay(
    environment: ComparisonEnvironment, world: World, name: str, endpoint: str, prefix: str
) -> AbstractAsyncContextManager[Measured]:
    """The relay of a service."""
    settings = {
        "DATABASE_URL": world.urls[name],
        "AWS_ENDPOINT_URL": endpoint,
        "TOPIC": name,
        "TOPOLOGY_PREFIX": prefix,
        "PUBLISH_CHECK_WAIT_SECONDS": "1",
        "LOG_FORMAT": "json",
    }
    return service("services.relay.main", settings, environment.folder, name=f"{name}-{prefix}relay")


def _routers(subscriber: SagaService) -> dict[str, Router]:
    """A router for each publisher whose events the service handles."""
    routers: dict[str, Router] = {}

    async def react(connection: AsyncpgConnection, event: Event[Any], _: object) -> None:
        await subscriber.react(connection, event.payload)

    for type in subscriber.handlers:
        event = EVENTS[type]
        router = routers.setdefault(event.publisher, Router())
        router.handle(event, react, policy=RetryInPlace())
    return routers
