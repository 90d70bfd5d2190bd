"""Faults of load."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable

from tests.faults.registry import fault
from tests.faults.run import Run
from tests.faults.samples import Sampler
from tests.faults.workload import Client

BACKLOG = 150
SAMPLING_SECONDS, PAUSE_SECONDS, LEAST_SAMPLES = 30.0, 0.5, 20
"""On a busy machine a sample takes seconds, and then fewer are taken."""
CUT_EVERY = 2
"""Connections are cut after every second sample. They are opened again after it, so the numbers rise and fall with this
period. Few long periods look like growth."""


@fault(30, "a backlog behind relays that are away (its growth to a million rows: make test-scale)", "P8", "relays")
async def backlog(run: Run) -> None:
    async def reported() -> bool:
        return "readiness of order" in run.evidence.seen

    await asyncio.gather(*(relay.stop() for relay in run.system.relays))
    await run.more_operations(BACKLOG)
    # Relays that were stopped and started within the order service's grace period are not reported as missing.
    await run.until(reported)
    await asyncio.gather(*(relay.start() for relay in run.system.relays))
    await run.more_effects(BACKLOG)


async def take(sample: Callable[[int], Awaitable[None]]) -> None:
    """Take samples for a time, however long each takes, but a least number."""
    until, number = time.monotonic() + SAMPLING_SECONDS, 0
    while number < LEAST_SAMPLES or time.monotonic() < until:
        await sample(number)
        await asyncio.sleep(PAUSE_SECONDS)
        number += 1


@fault(47, "memory, descriptors and connections under load and lost connections (for longer: make soak)", "P8",
       "alone", reported=False, progress=True)  # fmt: skip
async def nothing_grows(run: Run) -> None:
    sampler = Sampler(run.system)

    async def sample(number: int) -> None:
        await sampler.sample()
        if number % CUT_EVERY == 0:
            run.system.relay_broker.cut_connections()
            run.system.relay_database.close_connections()
            run.system.sink_database.close_connections()

    await take(sample)
    points = {series.name: series.points for series in sampler.series.values()}
    (run.folder / "samples.json").write_text(json.dumps(points))
    growing = [f"{each.name} by {each.growth:.1f} around {each.median:.1f}" for each in sampler.growing()]
    assert not growing, f"grew: {', '.join(growing)}"


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
