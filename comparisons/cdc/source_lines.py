"""The lines that compare the sources: latency, rate, load on the database, and the log that is kept."""

from __future__ import annotations

import asyncio
import time

from benchmarks.suite import databases
from benchmarks.suite.events import MadeEvent, make_events
from benchmarks.suite.relay import TOPIC
from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons.cdc.running import LOG, PAYLOAD_LINES, SOURCES, WARM_UP_EVENTS, RunningRelay, relay, versions
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment

RATE, LATENCY_EVENTS = 60.0, 240
BURST_EVENTS, BURST_WRITERS = 3000, 4
IDLE_SECONDS = 5.0
KEPT_EVENTS = 2000
WRITTEN = "SELECT pg_current_wal_lsn() - '0/0'"
KEPT = """
SELECT coalesce(
    (SELECT pg_current_wal_lsn() - s.restart_lsn FROM pg_replication_slots s WHERE s.slot_name = '{slot}'), 0
)
"""
PAUSE = "UPDATE outbox_control SET paused_at = now(), paused_by = 'comparison', paused_reason = 'events wait'"


async def latency(environment: ComparisonEnvironment) -> LineResult:
    """From the commit to the arrival of the call at the broker, at a moderate rate of single events."""
    latencies = []
    for source in SOURCES:
        async with relay(environment, source) as running:
            made = [[each] for each in make_events(LATENCY_EVENTS, LATENCY_EVENTS, PAYLOAD_LINES, prefix="event")]
            await running.writer.open_loop(made, RATE)
            await running.drained(WARM_UP_EVENTS + LATENCY_EVENTS)
            sent = {(row[1], row[2]): row[3] for row in (await running.stub.times())["published"] if row[0] == TOPIC}
        taken = [
            max(0.0, sent[key] - at) * 1000
            for key, at in running.writer.committed.items()
            if key[0].startswith("event-")
        ]
        latencies.append(LatencyFound(source, taken))
    cells = {each.name: Cell(f"{each.quantile(0.5):.1f} / {each.quantile(0.99):.1f} ms") for each in latencies}
    return LineResult(cells, latencies=latencies, versions=await versions(environment))


async def rate(environment: ComparisonEnvironment) -> LineResult:
    """Writers that commit one event after the other as fast as they can, and the relay beside them."""
    numbers = []
    for source in SOURCES:
        async with relay(environment, source) as running:
            seconds = await _burst(running)
        numbers.append(NumberFound(source, "events a second", [BURST_EVENTS / seconds]))
    cells = {each.name: Cell(f"{each.median:.0f}") for each in numbers}
    return LineResult(cells, numbers=numbers, versions=await versions(environment))


async def load(environment: ComparisonEnvironment) -> LineResult:
    """What the server does for an event of the same run: processor time, transactions, and log."""
    numbers, cells = [], {}
    for source in SOURCES:
        async with relay(environment, source) as running:
            before = await _spent(running)
            await _burst(running)
            after = await _spent(running)
        cpu, commits, written = ((b - a) / BURST_EVENTS for a, b in zip(before, after, strict=True))
        numbers.append(NumberFound(source, "µs of the server's CPU an event", [cpu * 1e6]))
        cells[source] = Cell(f"{cpu * 1e6:.0f} µs, {commits:.2f} transactions, {written:.0f} bytes of log")
    return LineResult(cells, numbers=numbers, versions=await versions(environment))


async def idle(environment: ComparisonEnvironment) -> LineResult:
    """What the server does for a relay while nothing is recorded."""
    numbers, cells = [], {}
    for source in SOURCES:
        async with relay(environment, source) as running:
            await asyncio.sleep(1.5)  # the pace of polling slows down after the last event
            before = await _spent(running)
            await asyncio.sleep(IDLE_SECONDS)
            after = await _spent(running)
        cpu, commits = ((b - a) / IDLE_SECONDS for a, b in zip(before[:2], after[:2], strict=True))
        numbers.append(NumberFound(source, "transactions a second", [commits]))
        cells[source] = Cell(f"{commits:.1f} transactions, {cpu * 1e3:.1f} ms of CPU a second")
    return LineResult(cells, numbers=numbers, versions=await versions(environment))


async def kept(environment: ComparisonEnvironment) -> LineResult:
    """The log that the server keeps for the slot: after the events were sent, and while as many are not sent."""
    cells = {source: Cell("nothing") for source in SOURCES if source != LOG}
    async with relay(environment, LOG) as running:
        await _burst(running)
        query = KEPT.format(slot=running.slot)
        after_sending = await running.value(query)
        await databases.execute(running.url, PAUSE)
        before = await running.value(WRITTEN)
        for event in make_events(KEPT_EVENTS, KEPT_EVENTS, PAYLOAD_LINES, prefix="unsent"):
            await running.writer.commit(event)
        unsent, grown = await running.value(query), await running.value(WRITTEN) - before
    text = f"{after_sending / 2**20:.1f} MiB after sending; {unsent / 2**20:.1f} MiB with {KEPT_EVENTS} unsent events"
    unexpected = "" if unsent >= grown * 0.9 else f"at least the {grown / 2**20:.1f} MiB of the unsent events"
    cells[LOG] = Cell(text, unexpected)
    return LineResult(cells, versions=await versions(environment))


async def _burst(running: RunningRelay) -> float:
    """Commit events from several writers, and wait until all came back; returns the seconds."""
    # All events of a group are one writer's, so that they are committed in order.
    shares = [list[MadeEvent]() for _ in range(BURST_WRITERS)]
    for event in make_events(BURST_EVENTS, BURST_EVENTS // 5, PAYLOAD_LINES, prefix="burst"):
        shares[int(event.group.rpartition("-")[2]) % BURST_WRITERS].append(event)
    began = time.monotonic()

    async def write(share: list[MadeEvent]) -> None:
        for event in share:
            await running.writer.commit(event)

    await asyncio.gather(*(write(share) for share in shares))
    await running.drained(WARM_UP_EVENTS + BURST_EVENTS)
    return time.monotonic() - began


async def _spent(running: RunningRelay) -> tuple[float, float, float]:
    """Processor seconds of the server, committed transactions of the database, and bytes of log, so far."""
    return (
        await databases.server_cpu_seconds(running.admin_url),
        await databases.commits(running.url),
        await running.value(WRITTEN),
    )
