"""The consumer with an empty handler, against bare loops: receive and delete; receive, insert and delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench, deleted, reported
from benchmarks.suite.events import OrderMeasured, make_events
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.processes import Measured, process, run_tool
from benchmarks.suite.results import Goal, NumberFound, RatioFound, Section

QUEUE = "reader.fifo"
RUN_SECONDS = 180.0
CONSUMER, BARE, INSERTING = "consumer", "bare loop", "bare loop with insert"
LOOPS = 4
"""Receive loops of the bare candidates."""
CONCURRENCY = 16
WARM_UP = 0.1


class ConsumerRuns:
    """One run of each candidate, with an empty queue and a fresh database."""

    def __init__(self, bench: Bench, stub: StubBrokerProcess, folder: Path) -> None:
        self._bench = bench
        self._stub = stub
        self._folder = folder
        self.body_bytes = 0.0
        self.problems: list[str] = []

    async def consumer(self) -> Measures:
        """A consumer process that is idle at first empties a queue that is filled at once."""
        events = self._bench.sizes.events
        await self._stub.reset()
        async with databases.copied(self._bench.admin_url, await self._bench.seed("notification")) as url:
            environment = {
                "DATABASE_URL": url,
                "QUEUE": QUEUE,
                "AWS_ENDPOINT_URL": self._stub.url,
                "CONCURRENCY": str(CONCURRENCY),
            }
            async with process("benchmarks.empty_consumer", environment, self._folder) as measured:
                await self._fill(max(10, round(events * WARM_UP)), "warm-up", measured)
                await self._stub.reset()
                cpu, commits = measured.cpu_seconds(), await databases.commits(url)
                report = await self._fill(events, "measured", measured)
                cpu, commits = measured.cpu_seconds() - cpu, await databases.commits(url) - commits
        found = _measures(report, events)
        queue = report["queues"][QUEUE]
        if queue["redelivered"] or queue["deleted_before_earlier"]:
            counts = {name: queue[name] for name in ("redelivered", "expired", "deleted_before_earlier")}
            self.problems.append(f"{CONSUMER}: {counts}")
        return {**found, "CPU ms": cpu / events * 1000, "transactions": commits / events}

    async def bare(self) -> Measures:
        """The stock client receives and deletes."""
        return await self._bare([])

    async def inserting(self) -> Measures:
        """The stock client receives, inserts a row for each message in a transaction of its own, and deletes."""
        async with databases.copied(self._bench.admin_url, await self._bench.seed("notification")) as url:
            return await self._bare([f"--database-url={url}", f"--connections={CONCURRENCY}"])

    async def _bare(self, more: list[str]) -> Measures:
        events = self._bench.sizes.events
        await self._stub.reset()
        await self._put(events, "bare")
        arguments = [f"--endpoint={self._stub.url}", f"--queue={QUEUE}", f"--events={events}", f"--loops={LOOPS}"]
        found = await run_tool("benchmarks.bare.receive", [*arguments, *more], self._folder, most_seconds=RUN_SECONDS)
        report = await self._stub.report()
        return {**_measures(report, events), "CPU ms": found["cpu_seconds"] / events * 1000}

    async def _fill(self, count: int, prefix: str, measured: Measured) -> dict[str, Any]:
        await self._put(count, prefix)
        return await reported(self._stub, deleted(QUEUE, count), seconds=RUN_SECONDS, what=CONSUMER, measured=measured)

    async def _put(self, count: int, prefix: str) -> None:
        sizes = self._bench.sizes
        made = list(make_events(count, min(count, sizes.groups), sizes.lines, prefix=prefix))
        self.body_bytes = sum(len(each.body) for each in made) / count
        attributes = {"type": {"DataType": "String", "StringValue": OrderMeasured.type}}
        messages = (
            {"group": each.group, "id": str(each.event_id), "body": each.body.decode(), "attributes": attributes}
            for each in made
        )
        await self._stub.fill(QUEUE, messages)


async def measure(bench: Bench) -> Section:
    """The consumer over the bare loops."""
    sizes = bench.sizes
    async with stub_broker(bench.folder, queues=[QUEUE], latency_ms=sizes.latency_ms) as stub:
        runs = ConsumerRuns(bench, stub, bench.folder)
        candidates = {CONSUMER: runs.consumer, BARE: runs.bare, INSERTING: runs.inserting}
        series = await interleaved(
            "consumer", candidates, rounds=sizes.rounds, most_seconds=sizes.most_seconds, show="deleted/s"
        )
    section = Section("Consumer", problems=runs.problems)
    section.conditions += [
        f"{sizes.events} events in {sizes.groups} groups, {runs.body_bytes:.0f} bytes each, in a queue that is filled "
        f"at once; stub broker at {sizes.latency_ms:g} ms; the handler does nothing; {CONCURRENCY} groups at a time.",
        f"The bare loops: {LOOPS} at a time, batches of 10. The second inserts a row for each message on "
        f"{CONCURRENCY} connections.",
        f"Each run has a fresh database and a fresh process; {WARM_UP:.0%} of the events go first to the consumer and "
        "are not measured.",
    ]
    null_rate, null_cpu = series.null(CONSUMER, "deleted/s"), series.null(CONSUMER, "CPU ms")
    section.ratios += [
        RatioFound("consumer / bare loop", series.ratio((CONSUMER, "deleted/s"), (BARE, "deleted/s")), null_rate),
        RatioFound(
            "consumer / bare loop with insert",
            series.ratio((CONSUMER, "deleted/s"), (INSERTING, "deleted/s")),
            null_rate,
        ),
        RatioFound(
            "consumer CPU / bare loop with insert CPU",
            series.ratio((CONSUMER, "CPU ms"), (INSERTING, "CPU ms")),
            null_cpu,
            Goal(1.3),
        ),
    ]
    section.numbers += [
        NumberFound("consumer", "events/s", series.values(CONSUMER, "deleted/s")),
        NumberFound("bare loop", "events/s", series.values(BARE, "deleted/s")),
        NumberFound("bare loop with insert", "events/s", series.values(INSERTING, "deleted/s")),
        NumberFound("consumer CPU", "ms/event", series.values(CONSUMER, "CPU ms")),
        NumberFound("bare loop with insert CPU", "ms/event", series.values(INSERTING, "CPU ms")),
        NumberFound("SQS calls", "1/event", series.values(CONSUMER, "SQS calls")),
        NumberFound("transactions (whole database)", "1/event", series.values(CONSUMER, "transactions")),
    ]
    return section


def _measures(report: dict[str, Any], events: int) -> dict[str, float]:
    queue, calls = report["queues"][QUEUE], report["calls"]
    return {
        "deleted/s": events / (queue["last_deleted_at"] - queue["first_received_at"]),
        "SQS calls": sum(calls.values()) / events,
    }
