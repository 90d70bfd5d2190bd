"""Other relays on the same Postgres and the same stub broker, each in an environment of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import typer

from benchmarks.stub_broker.process import StubBrokerProcess
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench, published, reported
from benchmarks.suite.interleaving import Measures, Run, interleaved
from benchmarks.suite.processes import Measured, process, run_tool
from benchmarks.suite.relay import ARN, RELAY, RUN_SECONDS, TOPIC, WARM_UP, conditions, relay_runs
from benchmarks.suite.results import NumberFound, RatioFound, Section
from benchmarks.suite.rival_consumers import compare_consumers
from benchmarks.suite.rival_environments import EVENTCOMMON, FASTSTREAM, installed, missing
from tools.embedded.errors import EmbeddedServerFailed

TUTORIAL = "tutorial relay"
MOST_ROUNDS = 4
NOTES = (
    "The tutorial's relay reads rows with SKIP LOCKED and publishes one message a call. It keeps no order among "
    "several relays, confirms nothing, and repeats a whole batch after a failure.",
    "eventcommon 0.4 keeps the order of a key over several runners, as the relay does. It confirms nothing by the "
    "event's return. Its runner claims and publishes in turns, in batches or one message a call; both are measured, "
    "with a poll interval of 50 ms instead of 5 s. Its publisher has a client of the stock SDK.",
    "faststream-outbox has no publisher for SNS: a handler publishes each message. By its documentation it orders at "
    "best effort; the share of events that the stub broker saw out of order is among the numbers. It deletes rows "
    "instead of keeping a history.",
)


@dataclass(frozen=True)
class RivalRelay:
    """A relay that records events in a table of its own with `--fill`, and publishes them."""

    name: str
    module: str
    python: str
    events: int
    arguments: Sequence[str] = ()


class RivalRuns:
    """One run of each rival, with an empty stub and a fresh database."""

    def __init__(self, bench: Bench, stub: StubBrokerProcess) -> None:
        self._bench = bench
        self._stub = stub
        self.disorder: dict[str, list[float]] = {}

    async def relay(self, rival: RivalRelay) -> Measures:
        """Like the relay's run: it has published some events and is idle, when the measured ones are committed."""
        folder = self._bench.folder
        await self._stub.reset()
        async with databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url:
            where = [f"--database-url={url}", f"--endpoint={self._stub.url}", f"--topic-arn={ARN}"]
            warm_up = max(10, round(rival.events * WARM_UP))
            await self._fill(rival, where, warm_up)
            arguments = [*where, *rival.arguments]
            async with process(
                rival.module, {}, folder, name=rival.name, arguments=arguments, python=rival.python
            ) as measured:
                await self._published(rival, warm_up, measured)
                await self._stub.reset()
                cpu = measured.cpu_seconds()
                await self._fill(rival, where, rival.events)
                topic = await self._published(rival, rival.events, measured)
                cpu = measured.cpu_seconds() - cpu
        self.disorder.setdefault(rival.name, []).append(topic["order_violations"] / rival.events)
        rate = rival.events / (topic["last_published_at"] - topic["first_published_at"])
        return {"accepted/s": rate, "CPU ms": cpu / rival.events * 1000}

    async def _fill(self, rival: RivalRelay, where: Sequence[str], events: int) -> None:
        sizes = self._bench.sizes
        filling = [f"--events={events}", f"--groups={min(events, sizes.groups)}", f"--lines={sizes.lines}", "--fill"]
        arguments, folder = [*where, *filling], self._bench.folder
        await run_tool(rival.module, arguments, folder, most_seconds=RUN_SECONDS, python=rival.python)

    async def _published(self, rival: RivalRelay, events: int, measured: Measured) -> dict[str, float]:
        done, what = published(TOPIC, events), rival.name
        report = await reported(self._stub, done, seconds=RUN_SECONDS, what=what, measured=measured)
        topic: dict[str, float] = report["topics"][TOPIC]
        return topic


async def measure(bench: Bench) -> Section:
    """The relay over each rival's, and the consumer over eventcommon's."""
    sizes, section = bench.sizes, Section("Beside others", notes=list(NOTES))
    rivals = _rivals(bench, section)
    async with relay_runs(bench) as (runs, stub):
        rival_runs = RivalRuns(bench, stub)
        rivals = [rival for rival in rivals if await _runs(rival_runs, rival, section)]
        rival_runs.disorder.clear()
        candidates: dict[str, Run] = {RELAY: runs.relay}
        candidates |= {rival.name: partial(rival_runs.relay, rival) for rival in rivals}
        rounds = min(sizes.rounds, MOST_ROUNDS)
        series = await interleaved(
            "rivals", candidates, rounds=rounds, most_seconds=sizes.most_seconds, show="accepted/s"
        )
        section.conditions += conditions(bench, runs)
        section.problems += runs.problems
    section.conditions.append(f"{sizes.slow_events} events for those that publish one message a call.")
    for rival in rivals:
        ratio = series.ratio((RELAY, "accepted/s"), (rival.name, "accepted/s"))
        null = series.null(RELAY, "accepted/s") or series.null(rival.name, "accepted/s")
        section.ratios.append(RatioFound(f"relay accepted / {rival.name}", ratio, null))
    for name in candidates:
        section.numbers += [
            NumberFound(f"{name}, accepted", "events/s", series.values(name, "accepted/s")),
            NumberFound(f"{name}, CPU", "ms/event", series.values(name, "CPU ms")),
        ]
    section.numbers += [
        NumberFound(f"{name}, out of order", "of all", found) for name, found in rival_runs.disorder.items()
    ]
    if python := installed(EVENTCOMMON):
        await compare_consumers(bench, python, section)
    return section


async def _runs(runs: RivalRuns, rival: RivalRelay, section: Section) -> bool:
    """Whether it can be measured; one that cannot does not end the others' measurement."""
    try:
        await runs.relay(rival)
    except (EmbeddedServerFailed, TimeoutError) as error:
        typer.echo(f"rivals: {rival.name}: {error}", err=True)
        section.notes.append(f"{rival.name} was not measured: it failed.")
        return False
    return True


def _rivals(bench: Bench, section: Section) -> list[RivalRelay]:
    sizes = bench.sizes
    found = [RivalRelay(TUTORIAL, "benchmarks.rivals.tutorial_relay", sys.executable, sizes.slow_events)]
    if python := installed(EVENTCOMMON):
        module = "benchmarks.rivals.eventcommon_relay"
        batches = ("--concurrency=1", "--batch-size=200")
        single = (f"--concurrency={sizes.in_flight}", "--batch-size=200")
        found.append(RivalRelay("eventcommon, batches", module, python, 2 * sizes.slow_events, batches))
        found.append(RivalRelay("eventcommon, one a call", module, python, 2 * sizes.slow_events, single))
    else:
        section.notes.append(missing(EVENTCOMMON))
    if python := installed(FASTSTREAM):
        module, concurrency = "benchmarks.rivals.faststream_relay", (f"--concurrency={sizes.in_flight}",)
        found.append(RivalRelay("faststream-outbox", module, python, 2 * sizes.slow_events, concurrency))
    else:
        section.notes.append(missing(FASTSTREAM))
    return found
