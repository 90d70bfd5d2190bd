"""The lines of the measurements: the ways take turns, so that drift of the machine meets all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack

from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons.atomicity.columns import WAYS
from comparisons.atomicity.measuring import PurchaseLoad, load
from comparisons.atomicity.servers import databases, version
from comparisons.atomicity.ways import Way
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment

ROUNDS = 4
IDLE_SECONDS, CONTENDED_SECONDS = 0.7, 1.5
CLIENTS = 16
NETWORK_SECONDS = 0.005


async def latency(environment: ComparisonEnvironment, delay: float) -> LineResult:
    """One client, one purchase after the other."""
    found = await _rounds(environment, clients=1, seconds=IDLE_SECONDS, delay=delay)
    latencies = [LatencyFound(name, [ms for each in runs for ms in each.latencies_ms]) for name, runs in found.items()]
    cells = {each.name: _quantiles(each) for each in latencies}
    return LineResult(cells, latencies=latencies, versions=await version(environment))


async def contention(environment: ComparisonEnvironment) -> LineResult:
    """Many clients, one item."""
    found = await _contended(environment)
    numbers = [NumberFound(name, "purchases a second", [each.rate for each in runs]) for name, runs in found.items()]
    cells = {each.name: Cell(f"{each.median:.0f}") for each in numbers}
    return LineResult(cells, numbers=numbers, versions=await version(environment))


async def locked(environment: ComparisonEnvironment) -> LineResult:
    """How long the row of the item is locked under the same load, where a way locks it beyond one statement."""
    found = await _contended(environment)
    cells, latencies = {}, []
    for name, runs in found.items():
        samples = [ms for each in runs for ms in each.locked_ms]
        each = LatencyFound(name, samples)
        cells[name] = _quantiles(each) if samples else Cell("for one statement")
        latencies.append(each)
    return LineResult(cells, latencies=latencies, versions=await version(environment))


async def _contended(environment: ComparisonEnvironment) -> dict[str, Sequence[PurchaseLoad]]:
    return await _rounds(environment, clients=CLIENTS, seconds=CONTENDED_SECONDS, delay=NETWORK_SECONDS)


async def _rounds(
    environment: ComparisonEnvironment, *, clients: int, seconds: float, delay: float
) -> dict[str, Sequence[PurchaseLoad]]:
    """Runs of every way, in turns: A B C, C B A, ..."""
    numbers = itertools.count(1)
    found: dict[str, list[PurchaseLoad]] = {way.name: [] for way in WAYS}
    async with AsyncExitStack() as stack:
        worlds = {way: await stack.enter_async_context(databases(environment, way)) for way in WAYS}

        async def run(way: type[Way]) -> PurchaseLoad:
            return await load(
                way, worlds[way], clients=clients, seconds=seconds, delay=delay, run=f"run-{next(numbers)}"
            )

        for way in WAYS:
            await load(way, worlds[way], clients=1, seconds=0.05, delay=0, run=f"warm-{next(numbers)}")
        for turn in range(ROUNDS):
            for way in WAYS if turn % 2 == 0 else WAYS[::-1]:
                found[way.name].append(await run(way))
    return dict(found)


def _quantiles(found: LatencyFound) -> Cell:
    return Cell(f"p50 {found.quantile(0.5):.1f}, p99 {found.quantile(0.99):.1f} ms ({len(found.samples)})")
