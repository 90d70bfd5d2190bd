"""Faults of load."""

import asyncio
import random

from tests.faults.registry import FaultSkipped, fault
from tests.faults.run import Run
from tests.faults.workload import Client

BACKLOG = 150


@fault(30, "a backlog behind relays that are away (its growth to a million rows: make test-scale)", "P8", "relays")
async def backlog(run: Run) -> None:
    await asyncio.gather(*(relay.stop() for relay in run.system.relays))
    await run.more_operations(BACKLOG)
    await asyncio.gather(*(relay.start() for relay in run.system.relays))
    await run.more_effects(BACKLOG)


@fault(47, "memory and descriptors", "P8", "alone")
async def soak(run: Run) -> None:
    raise FaultSkipped("make soak measures it")


@fault(52, "a hot group with most of the load", "P5", reported=False, progress=True)
async def hot_group(run: Run) -> None:
    hot = Client(f"{run.prefix}hot", run.system.order.url, run.folder, random.Random(run.dice.random()), 0.0)
    run.clients.append(hot)
    stop = asyncio.Event()
    working = asyncio.create_task(hot.run(stop, hot=True))
    try:
        await run.more_effects(100)
    finally:
        stop.set()
        await working
