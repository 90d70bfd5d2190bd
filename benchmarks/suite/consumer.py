"""The consumer with an empty handler, against the reference revision and against bare loops."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench, deleted, reported
from benchmarks.suite.events import OrderMeasured, make_events
from benchmarks.suite.handled_round_trips import handled_round_trips
from benchmarks.suite.inbox_check import inbox_problems
from benchmarks.suite.interleaving import Measures, Run, interleaved
from benchmarks.suite.processes import ROOT, Measured, process, run_tool
from benchmarks.suite.reference import MISSING, REVISION
from benchmarks.suite.results import NumberFound, RatioFound, Section

RUN_SECONDS = 180.0
CONSUMER, REFERENCE, BARE, INSERTING = "consumer", "reference consumer", "bare loop", "bare loop with insert"
QUEUES = QUEUE, REFERENCE_QUEUE, BARE_QUEUE = "reader.fifo", "reference.fifo", "bare.fifo"
LOOPS = 4
"""Receive loops of the bare candidates."""
CONCURRENCY = 16
WARM_UP = 0.1


MakeMessages = Callable[[int, str], Awaitable[Sequence[dict[str, Any]]]]
"""Makes so many messages, in groups whose names begin with the text."""


@dataclass(frozen=True)
class RunningConsumer:
    """A consumer process that waits for messages, its queue and its database."""

    process: Measured
    queue: str
    url: str
    make: MakeMessages


class ConsumerRuns:
    """One run of each candidate, with an empty queue. The consumers keep running and have nothing to do meanwhile."""

    def __init__(self, bench: Bench, stub: StubBrokerProcess) -> None:
        self._bench = bench
        self.stub = stub
        self._numbers = itertools.count(1)
        self.running: dict[str, RunningConsumer] = {}
        self.body_bytes = 0.0
        self.problems: list[str] = []

    async def consumer(self, name: str) -> Measures:
        """A consumer process that is idle at first empties a queue that is filled at once."""
        events, running = self._bench.sizes.messages, self.running[name]
        await self.stub.reset()
        cpu, commits = running.process.cpu_seconds(), await databases.commits(running.url)
        await self.stub.fill(running.queue, await running.make(events, f"run-{next(self._numbers)}"))
        report = await self._emptied(name, events)
        cpu, commits = running.process.cpu_seconds() - cpu, await databases.commits(running.url) - commits
        queue = report["queues"][running.queue]
        # Deletes of one group may overtake each other: what is handled is in the inbox, whatever the queue repeats.
        if queue["redelivered"]:
            self.problems.append(f"{name}: {queue['redelivered']} redelivered, {queue['expired']} expired")
        found = _measures(report, running.queue, events)
        return {**found, "CPU ms": cpu / events * 1000, "transactions": commits / events}

    async def warm_up(self) -> None:
        """Let each consumer handle some events."""
        count = max(10, round(self._bench.sizes.messages * WARM_UP))
        for name, running in self.running.items():
            await self.stub.reset()
            await self.stub.fill(running.queue, await running.make(count, "warm-up"))
            await self._emptied(name, count)

    async def bare(self) -> Measures:
        """The stock client receives and deletes."""
        return await self._bare([])

    async def inserting(self) -> Measures:
        """The stock client receives, inserts a row for each message in a transaction of its own, and deletes."""
        async with databases.copied(self._bench.admin_url, await self._bench.seed("notification")) as url:
            return await self._bare([f"--database-url={url}", f"--connections={CONCURRENCY}"])

    async def messages(self, count: int, prefix: str) -> Sequence[dict[str, Any]]:
        """Events of this project, as messages."""
        sizes = self._bench.sizes
        made = list(make_events(count, min(count, sizes.groups), sizes.lines, prefix=prefix))
        self.body_bytes = sum(len(each.body) for each in made) / count
        attributes = {"type": {"DataType": "String", "StringValue": OrderMeasured.type}}
        return [
            {"group": each.group, "id": str(each.event_id), "body": each.body.decode(), "attributes": attributes}
            for each in made
        ]

    async def _bare(self, more: list[str]) -> Measures:
        events = self._bench.sizes.messages
        await self.stub.reset()
        await self.stub.fill(BARE_QUEUE, await self.messages(events, "bare"))
        arguments = [f"--endpoint={self.stub.url}", f"--queue={BARE_QUEUE}", f"--events={events}", f"--loops={LOOPS}"]
        folder = self._bench.folder
        found = await run_tool("benchmarks.bare.receive", [*arguments, *more], folder, most_seconds=RUN_SECONDS)
        report = await self.stub.report()
        return {**_measures(report, BARE_QUEUE, events), "CPU ms": found["cpu_seconds"] / events * 1000}

    async def _emptied(self, name: str, count: int) -> dict[str, Any]:
        running = self.running[name]
        done = deleted(running.queue, count)
        return await reported(self.stub, done, seconds=RUN_SECONDS, what=name, measured=running.process)


async def measure(bench: Bench) -> Section:
    """The consumer over the reference revision's, and over the bare loops."""
    sizes, section = bench.sizes, Section("Consumer")
    reference = await bench.reference()
    async with stub_broker(bench.folder, queues=QUEUES, latency_ms=sizes.latency_ms) as stub, AsyncExitStack() as stack:
        runs = ConsumerRuns(bench, stub)
        for name, queue, source in ((CONSUMER, QUEUE, ROOT), (REFERENCE, REFERENCE_QUEUE, reference)):
            if source is not None:
                runs.running[name] = await stack.enter_async_context(started(bench, runs, name, queue, source))
        candidates: dict[str, Run] = {CONSUMER: partial(runs.consumer, CONSUMER)}
        if reference:
            candidates[REFERENCE] = partial(runs.consumer, REFERENCE)
        else:
            section.notes.append(MISSING)
        candidates |= {INSERTING: runs.inserting, BARE: runs.bare}
        await runs.warm_up()
        series = await interleaved(
            "consumer", candidates, rounds=sizes.rounds, most_seconds=sizes.most_seconds, show="deleted/s"
        )
        for name, running in runs.running.items():
            section.problems += await inbox_problems(running.url, name)
    placed, confirmed = await handled_round_trips(bench)
    section.problems += runs.problems
    section.conditions += [
        f"{sizes.messages} events in {sizes.groups} groups, {runs.body_bytes:.0f} bytes each, in a queue that is "
        f"filled at once; stub broker at {sizes.latency_ms:g} ms; the handler does nothing, with `writes` and no "
        f"session; {CONCURRENCY} groups at a time.",
        f"The bare loops: {LOOPS} at a time, the stock client, batches of 10. One inserts a row for each message on "
        f"{CONCURRENCY} connections.",
        f"The reference is the consumer of revision {REVISION}. The consumers keep running between the runs.",
        "Round trips of the notification service are counted by a proxy, one event at a time.",
    ]
    over = [
        ("consumer / bare loop", "deleted/s", BARE, ""),
        ("consumer / bare loop with insert", "deleted/s", INSERTING, ""),
        ("consumer CPU / bare loop with insert CPU", "CPU ms", INSERTING, "consumer-bare"),
    ]
    if reference:
        over += [
            ("consumer CPU / reference CPU", "CPU ms", REFERENCE, "consumer-reference"),
            ("consumer / reference", "deleted/s", REFERENCE, ""),
        ]
    for name, measure_name, other, goal in over:
        ratio = series.ratio((CONSUMER, measure_name), (other, measure_name))
        section.ratios.append(RatioFound(name, ratio, series.null(CONSUMER, measure_name), goal))
    section.numbers += [
        *(NumberFound(name, "events/s", series.values(name, "deleted/s")) for name in candidates),
        *(NumberFound(f"{name} CPU", "ms/event", series.values(name, "CPU ms")) for name in candidates),
        NumberFound("SQS calls", "1/event", series.values(CONSUMER, "SQS calls")),
        NumberFound("transactions (whole database)", "1/event", series.values(CONSUMER, "transactions")),
        NumberFound("round trips, order.placed", "1/event", [placed], "placed"),
        NumberFound("round trips, order.confirmed", "1/event", [confirmed], "confirmed-handled"),
    ]
    return section


@asynccontextmanager
async def started(
    bench: Bench, runs: ConsumerRuns, name: str, queue: str, source: Path = ROOT
) -> AsyncIterator[RunningConsumer]:
    """A consumer with an empty handler, of the code in `source`."""
    async with databases.copied(bench.admin_url, await bench.seed("notification", source=source)) as url:
        given = consumer_environment(url, queue, runs.stub.url)
        async with process("benchmarks.empty_consumer", given, bench.folder, name=name, source=source) as measured:
            yield RunningConsumer(measured, queue, url, runs.messages)


def consumer_environment(url: str, queue: str, endpoint: str) -> dict[str, str]:
    """The settings of an empty consumer."""
    return {"DATABASE_URL": url, "QUEUE": queue, "AWS_ENDPOINT_URL": endpoint, "CONCURRENCY": str(CONCURRENCY)}


def _measures(report: dict[str, Any], name: str, events: int) -> dict[str, float]:
    queue, calls = report["queues"][name], report["calls"]
    return {
        "deleted/s": events / (queue["last_deleted_at"] - queue["first_received_at"]),
        "SQS calls": sum(calls.values()) / events,
    }
