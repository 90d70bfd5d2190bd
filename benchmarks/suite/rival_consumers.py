"""The consumer beside eventcommon's: an empty handler in the transaction that claims the event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.stub_broker.process import stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.consumer import CONCURRENCY, CONSUMER, QUEUE, ConsumerRuns, RunningConsumer, started
from benchmarks.suite.interleaving import interleaved
from benchmarks.suite.processes import process, run_tool
from benchmarks.suite.results import NumberFound, RatioFound, Section

EVENTCOMMON, EVENTCOMMON_QUEUE = "eventcommon consumer", "eventcommon.fifo"
MODULE = "benchmarks.rivals.eventcommon_consumer"
MOST_ROUNDS = 4
MAKE_SECONDS = 60.0


async def compare_consumers(bench: Bench, python: str, section: Section) -> None:
    """Add what was found to the section."""
    sizes = bench.sizes
    queues = [QUEUE, EVENTCOMMON_QUEUE]
    async with stub_broker(bench.folder, queues=queues, latency_ms=sizes.latency_ms) as stub, AsyncExitStack() as stack:
        runs = ConsumerRuns(bench, stub)
        runs.running[CONSUMER] = await stack.enter_async_context(started(bench, runs, CONSUMER, QUEUE))
        runs.running[EVENTCOMMON] = await stack.enter_async_context(_eventcommon(bench, runs, python))
        await runs.warm_up()
        series = await interleaved(
            "rivals",
            {name: partial(runs.consumer, name) for name in runs.running},
            rounds=min(sizes.rounds, MOST_ROUNDS),
            most_seconds=sizes.most_seconds / 2,
            show="deleted/s",
        )
    for measure, name in (
        ("deleted/s", "consumer / eventcommon consumer"),
        ("CPU ms", "consumer CPU / eventcommon CPU"),
    ):
        null = series.null(CONSUMER, measure) or series.null(EVENTCOMMON, measure)
        section.ratios.append(RatioFound(name, series.ratio((CONSUMER, measure), (EVENTCOMMON, measure)), null))
    for name in runs.running:
        section.numbers += [
            NumberFound(f"{name}, deleted", "events/s", series.values(name, "deleted/s")),
            NumberFound(f"{name}, CPU", "ms/event", series.values(name, "CPU ms")),
            NumberFound(f"{name}, SQS calls", "1/event", series.values(name, "SQS calls")),
            NumberFound(f"{name}, transactions", "1/event", series.values(name, "transactions")),
        ]
    section.problems += [problem for problem in runs.problems if problem.startswith(CONSUMER)]


@asynccontextmanager
async def _eventcommon(bench: Bench, runs: ConsumerRuns, python: str) -> AsyncIterator[RunningConsumer]:
    sizes, folder = bench.sizes, bench.folder

    async def make(count: int, _: str) -> Sequence[dict[str, Any]]:
        target = folder / "eventcommon-messages.jsonl"
        given = [f"--events={count}", f"--groups={min(count, sizes.groups)}", f"--lines={sizes.lines}"]
        await run_tool(MODULE, [*given, f"--make={target}"], folder, most_seconds=MAKE_SECONDS, python=python)
        return [json.loads(line) for line in target.read_text().splitlines()]

    async with databases.copied(bench.admin_url, await bench.seed("notification")) as url:
        arguments = [
            f"--database-url={url}",
            f"--endpoint={runs.stub.url}",
            f"--queue={EVENTCOMMON_QUEUE}",
            f"--concurrency={CONCURRENCY}",
        ]
        async with process(MODULE, {}, folder, name=EVENTCOMMON, arguments=arguments, python=python) as measured:
            yield RunningConsumer(measured, EVENTCOMMON_QUEUE, url, make)
