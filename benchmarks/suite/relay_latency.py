"""How long an event takes from its transaction to the broker: idle, under a load, and as the second of its group."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import asyncpg

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import POLL_SECONDS, Bench, deleted, problems, reported
from benchmarks.suite.events import MadeEvent, make_events
from benchmarks.suite.processes import service
from benchmarks.suite.relay import CHECK, TOPIC, relay_environment
from benchmarks.suite.results import LatencyFound, NumberFound, Section
from event_trio.outbox import OutboxNotifier

IDLE_RATE, LOADED_RATE = 2.0, 60.0
"""Events a second."""
PAIRS_A_SECOND = 2.0
GAP_SECONDS = 0.1
"""From the commit of a group's first event to its second: the first has been sent by then."""
BESIDE_A_SECOND = 60.0
"""Events of other groups meanwhile, so that calls are in flight."""
CONNECTIONS = 4
WARM_UP_EVENTS = 20
DRAIN_SECONDS = 60.0

Key = tuple[str, int]
"""Group and sequence of an event."""


class Writer:
    """Commits one event after the other, as a service would, and tells the relay."""

    def __init__(self, pool: Any, notifier: OutboxNotifier) -> None:
        self._pool = pool
        self._notifier = notifier
        self.committed: dict[Key, float] = {}

    async def commit(self, event: MadeEvent) -> None:
        """Record an event in a transaction of its own."""
        await self._pool.execute(databases.INSERT, *databases.row(event))
        self.committed[event.group, event.sequence] = time.monotonic()
        self._notifier.notify()

    async def open_loop(self, transactions: Sequence[Sequence[MadeEvent]], rate: float) -> None:
        """Begin each at a random intended time (Poisson); the events of one are committed with a gap."""
        chance, at, began = random.Random(1), 0.0, time.monotonic()  # noqa: S311 - arrival times, no secret
        async with asyncio.TaskGroup() as running:
            for events in transactions:
                at += chance.expovariate(rate)
                await asyncio.sleep(max(0.0, began + at - time.monotonic()))
                running.create_task(self._commit_all(events))

    async def _commit_all(self, events: Sequence[MadeEvent]) -> None:
        for index, event in enumerate(events):
            if index:
                await asyncio.sleep(GAP_SECONDS)
            await self.commit(event)


async def measure(bench: Bench) -> Section:
    """One relay, on a database with nothing else in it."""
    sizes = bench.sizes
    section = Section("Relay latency")
    section.conditions += [
        f"One relay; events are committed one by one at random times (Poisson), {sizes.step_seconds:g} s at each of "
        f"{IDLE_RATE:g} and {LOADED_RATE:g} events a second, each in a group of its own, after {WARM_UP_EVENTS} that "
        f"are not measured; stub broker at {sizes.latency_ms:g} ms.",
        "`commit` is when the writer has the answer to its commit, `PublishBatch` the arrival of the call at the "
        "broker, `confirmed` the deletion from the publish check. `recorded` and `published` are columns of the table.",
        f"A second event is committed {GAP_SECONDS * 1000:g} ms after the first of its group, {PAIRS_A_SECOND:g} such "
        f"pairs a second, beside {BESIDE_A_SECOND:g} events a second of other groups.",
    ]
    async with _running(bench) as (stub, writer, url):
        done = WARM_UP_EVENTS
        await writer.open_loop([[each] for each in make_events(done, done, sizes.lines, prefix="warm-up")], LOADED_RATE)
        await _drained(stub, done)
        for rate, name, goals in ((IDLE_RATE, "idle", ("", "")), (LOADED_RATE, "load", ("publish-p50", "publish-p99"))):
            count = max(2, round(rate * sizes.step_seconds))
            made = [[each] for each in make_events(count, count, sizes.lines, prefix=name)]
            await writer.open_loop(made, rate)
            done += count
            await _drained(stub, done)
            section.latencies += await _found(stub, writer, f"{name}-", f"{rate:g} events/s", goals)
        section.latencies.append(await _published(url, "idle-", f"recorded to published, {IDLE_RATE:g} events/s"))
        pairs = max(2, round(PAIRS_A_SECOND * sizes.step_seconds))
        events = list(make_events(2 * pairs, pairs, sizes.lines, prefix="pair"))
        count = max(1, round(BESIDE_A_SECOND * sizes.step_seconds))
        beside = [[each] for each in make_events(count, count, sizes.lines, prefix="beside")]
        await asyncio.gather(
            writer.open_loop(list(zip(events[:pairs], events[pairs:], strict=True)), PAIRS_A_SECOND),
            writer.open_loop(beside, BESIDE_A_SECOND),
        )
        report = await _drained(stub, done + 2 * pairs + count)
        times = await stub.times()
    section.problems += problems(report, TOPIC, who="relay")
    first, second = (
        LatencyFound(f"commit to PublishBatch, {name} of a group", _sent(times, writer, "pair-", number), plot="pairs")
        for name, number in (("first", 1), ("second", 2))
    )
    section.latencies += [first, second]
    ratio = median(second.samples) / median(first.samples)
    section.numbers.append(NumberFound("second event over first, medians", "ratio", [ratio], "second"))
    return section


async def _found(
    stub: StubBrokerProcess, writer: Writer, prefix: str, name: str, goals: tuple[str, str]
) -> list[LatencyFound]:
    times = await stub.times()
    confirmed = {(row[1], row[2]): row[3] for row in times["deleted"] if row[0] == CHECK}
    samples = [(confirmed[key] - at) * 1000 for key, at in writer.committed.items() if key[0].startswith(prefix)]
    return [
        LatencyFound(f"commit to PublishBatch, {name}", _sent(times, writer, prefix), *goals, "relay"),
        LatencyFound(f"commit to confirmed, {name}", samples, plot="relay"),
    ]


def _sent(times: dict[str, Any], writer: Writer, prefix: str, sequence: int = 1) -> list[float]:
    sent = {(row[1], row[2]): row[3] for row in times["published"] if row[0] == TOPIC}
    # The relay may see an event before the writer has its answer.
    return [
        max(0.0, sent[key] - at) * 1000
        for key, at in writer.committed.items()
        if key[0].startswith(prefix) and key[1] == sequence
    ]


async def _published(url: str, prefix: str, name: str) -> LatencyFound:
    """From the columns of the outbox, when the last of the events has been recorded as published."""
    query = f"""
        SELECT extract(epoch FROM published_at - recorded_at)::float8 * 1000 AS taken
        FROM outbox_event WHERE subject LIKE '{prefix}%'
    """  # noqa: S608 - a constant
    async with asyncio.timeout(DRAIN_SECONDS):
        while None in (found := [row["taken"] for row in await databases.fetch(url, query)]):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
    return LatencyFound(name, found, "published", plot="relay")


async def _drained(stub: StubBrokerProcess, count: int) -> dict[str, Any]:
    return await reported(stub, deleted(CHECK, count), seconds=DRAIN_SECONDS, what=f"the relay with {count} events")


@asynccontextmanager
async def _running(bench: Bench) -> AsyncIterator[tuple[StubBrokerProcess, Writer, str]]:
    sizes, stopping = bench.sizes, asyncio.Event()
    async with (
        stub_broker(bench.folder, subscriptions=[f"{TOPIC}={CHECK}"], latency_ms=sizes.latency_ms, times=True) as stub,
        databases.copied(bench.admin_url, await bench.seed("order")) as url,
        service("services.relay.main", relay_environment(url, stub.url, in_flight=sizes.in_flight), bench.folder),
        asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool,
    ):
        notifier = OutboxNotifier(url)
        telling = asyncio.create_task(notifier.run(stopping))
        try:
            yield stub, Writer(pool, notifier), url
        finally:
            stopping.set()
            await telling
