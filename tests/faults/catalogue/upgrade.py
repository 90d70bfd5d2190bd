"""Two versions at the same time: a rolling upgrade, and its roll-back."""

import asyncio

from tests.faults.previous import sources
from tests.faults.registry import fault
from tests.faults.run import Run


@fault(53, "the previous version beside this one, upgrade and roll-back", "P2 P3 P4", "alone", reported=False)
async def versions(run: Run) -> None:
    """The databases have this version's migrations all the time, as in an upgrade that migrates first."""
    system = run.system
    previous = sources(system.folder)
    services = [system.order, *system.relays, *system.consumers]
    one, other = [system.relays[0], system.consumers[0]], [system.relays[1], system.consumers[1]]
    await asyncio.gather(*(actor.restart(sources=previous) for actor in services))
    await run.more_effects(10)
    await asyncio.gather(*(actor.restart() for actor in one))
    await run.more_effects(15)
    await system.order.restart()
    await run.more_effects(10)
    await asyncio.gather(*(actor.restart(sources=previous) for actor in one), *(actor.restart() for actor in other))
    await run.more_effects(15)
    await asyncio.gather(*(actor.restart() for actor in one))
