"""Several relays on one outbox, and several consumers on one queue: what is gained and what is lost."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import POLL_SECONDS, Bench, deleted, problems, reported
from benchmarks.suite.consumer import consumer_environment
from benchmarks.suite.events import OrderMeasured, make_events
from benchmarks.suite.inbox_check import inbox_problems
from benchmarks.suite.interleaving import Measures, Run, Series, interleaved
from benchmarks.suite.processes import Measured, process, service
from benchmarks.suite.relay import relay_environment
from benchmarks.suite.results import NumberFound, RatioFound, Section

FLEETS = (1, 2, 4)
MOST_ROUNDS = 5
RUN_SECONDS = 120.0
BALANCE_SECONDS = 60.0
OWNERS = "SELECT count(DISTINCT owner) FROM outbox_lane"


@dataclass(frozen=True)
class Fleet:
    """Processes that share an outbox or a queue."""

    name: str
    queue: str
    """From which the last message of a run is deleted."""
    url: str
    processes: Sequence[Measured]

    def cpu_seconds(self) -> float:
        """Processor time of all."""
        return sum(each.cpu_seconds() for each in self.processes)


class FleetRuns:
    """A run of each fleet, while the others have nothing to do."""

    def __init__(self, bench: Bench, stub: StubBrokerProcess) -> None:
        self._bench = bench
        self._stub = stub
        self._numbers = itertools.count(1)
        self.problems: list[str] = []

    async def relays(self, fleet: Fleet) -> Measures:
        """The events are committed in one transaction."""
        sizes, prefix = self._bench.sizes, f"run-{next(self._numbers)}"
        await self._stub.reset()
        cpu = fleet.cpu_seconds()
        await databases.record(fleet.url, make_events(sizes.events, sizes.groups, sizes.lines, prefix=prefix))
        report = await self._done(fleet, sizes.events)
        topic = report["topics"][f"{fleet.name}.fifo"]
        self.problems += problems(report, f"{fleet.name}.fifo", who=fleet.name)
        return _measures(fleet, report, topic["first_published_at"], cpu, sizes.events)

    async def consumers(self, fleet: Fleet) -> Measures:
        """The queue is filled at once."""
        sizes, prefix = self._bench.sizes, f"run-{next(self._numbers)}"
        attributes = {"type": {"DataType": "String", "StringValue": OrderMeasured.type}}
        made = make_events(sizes.messages, sizes.groups, sizes.lines, prefix=prefix)
        messages = [
            {"group": each.group, "id": str(each.event_id), "body": each.body.decode(), "attributes": attributes}
            for each in made
        ]
        await self._stub.reset()
        cpu = fleet.cpu_seconds()
        await self._stub.fill(fleet.queue, messages)
        report = await self._done(fleet, sizes.messages)
        queue = report["queues"][fleet.queue]
        self.problems += await inbox_problems(fleet.url, fleet.name)
        return _measures(fleet, report, queue["first_received_at"], cpu, sizes.messages)

    async def _done(self, fleet: Fleet, count: int) -> dict[str, Any]:
        done, first = deleted(fleet.queue, count), fleet.processes[0]
        return await reported(self._stub, done, seconds=RUN_SECONDS, what=fleet.name, measured=first)


async def measure(bench: Bench) -> Section:
    """Fleets of one, two and four relays, then of consumers."""
    sizes = bench.sizes
    section = Section("Several relays, several consumers")
    section.conditions += [
        f"{sizes.events} events a run of relays and {sizes.messages} of consumers, in {sizes.groups} groups; "
        f"{sizes.in_flight} calls in flight, or groups at a time, in each process; stub broker at "
        f"{sizes.latency_ms:g} ms. Each fleet has an outbox and a topic, or a queue and an inbox, of its own; all "
        "fleets run all the time, one has work.",
        "Rates of relays are of confirmed events. All share the processors with Postgres and the stub broker: more "
        "processes gain nothing once these are busy.",
    ]
    relays = {f"relays-{count}": count for count in FLEETS}
    subscriptions = [f"{name}.fifo={name}-publish-check.fifo" for name in relays]
    async with stub_broker(bench.folder, subscriptions=subscriptions, latency_ms=sizes.latency_ms) as stub:
        runs = FleetRuns(bench, stub)
        async with AsyncExitStack() as stack:
            fleets = [await stack.enter_async_context(_relays(bench, stub, *each)) for each in relays.items()]
            await _compare(bench, "relay", {each.name: partial(runs.relays, each) for each in fleets}, section)
        section.problems += runs.problems
    consumers = {f"consumers-{count}": count for count in FLEETS}
    queues = [f"{name}.fifo" for name in consumers]
    async with stub_broker(bench.folder, queues=queues, latency_ms=sizes.latency_ms) as stub:
        runs = FleetRuns(bench, stub)
        async with AsyncExitStack() as stack:
            fleets = [await stack.enter_async_context(_consumers(bench, stub, *each)) for each in consumers.items()]
            await _compare(bench, "consumer", {each.name: partial(runs.consumers, each) for each in fleets}, section)
        section.problems += runs.problems
    return section


async def _compare(bench: Bench, what: str, candidates: dict[str, Run], section: Section) -> None:
    for run in candidates.values():
        await run()
    rounds, most = min(MOST_ROUNDS, bench.sizes.rounds), bench.sizes.most_seconds / 2
    series = await interleaved(f"scaling, {what}", candidates, rounds=rounds, most_seconds=most, show="events/s")
    one, *more = candidates
    null = {measure: _null(series, candidates, measure) for measure in ("events/s", "CPU ms", "calls")}
    for name, count in zip(more, FLEETS[1:], strict=True):
        for measure, text in (("events/s", "rate"), ("CPU ms", "CPU an event"), ("calls", "calls an event")):
            ratio = series.ratio((name, measure), (one, measure))
            section.ratios.append(RatioFound(f"{count} {what}s / 1, {text}", ratio, null[measure]))
    for name, count in zip(candidates, FLEETS, strict=True):
        fleet = f"{count} {what}" if count == 1 else f"{count} {what}s"
        section.numbers += [
            NumberFound(fleet, "events/s", series.values(name, "events/s")),
            NumberFound(f"{fleet}, CPU", "ms/event", series.values(name, "CPU ms")),
            NumberFound(f"{fleet}, redelivered", "of all", series.values(name, "redelivered")),
        ]


def _null(series: Series, candidates: dict[str, Run], measure: str) -> Any:
    return next((null for name in candidates if (null := series.null(name, measure))), None)


def _measures(fleet: Fleet, report: dict[str, Any], began: float, cpu: float, events: int) -> Measures:
    queue = report["queues"][fleet.queue]
    return {
        "events/s": events / (queue["last_deleted_at"] - began),
        "CPU ms": (fleet.cpu_seconds() - cpu) / events * 1000,
        "calls": sum(report["calls"].values()) / events,
        "redelivered": queue["redelivered"] / events,
    }


@asynccontextmanager
async def _relays(bench: Bench, stub: StubBrokerProcess, name: str, count: int) -> AsyncIterator[Fleet]:
    async with (
        databases.copied(bench.admin_url, await bench.seed("order")) as url,
        AsyncExitStack() as stack,
    ):
        environment = {**relay_environment(url, stub.url, in_flight=bench.sizes.in_flight), "TOPIC": name}
        processes = [
            await stack.enter_async_context(
                service("services.relay.main", environment, bench.folder, name=f"{name}-{number}")
            )
            for number in range(1, count + 1)
        ]
        deadline = time.monotonic() + BALANCE_SECONDS
        while await databases.fetch_value(url, OWNERS) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} relays do not share the lanes after {BALANCE_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
        yield Fleet(name, f"{name}-publish-check.fifo", url, processes)


@asynccontextmanager
async def _consumers(bench: Bench, stub: StubBrokerProcess, name: str, count: int) -> AsyncIterator[Fleet]:
    async with (
        databases.copied(bench.admin_url, await bench.seed("notification")) as url,
        AsyncExitStack() as stack,
    ):
        environment, module = consumer_environment(url, f"{name}.fifo", stub.url), "benchmarks.empty_consumer"
        processes = [
            await stack.enter_async_context(process(module, environment, bench.folder, name=f"{name}-{number}"))
            for number in range(1, count + 1)
        ]
        yield Fleet(name, f"{name}.fifo", url, processes)
