"""The relay against bare PublishBatch loops of the stock and the lean client, on the stub broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench, deleted, problems, reported
from benchmarks.suite.events import make_events
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.processes import Measured, run_tool, service
from benchmarks.suite.results import NumberFound, RatioFound, Section
from benchmarks.suite.round_trips import counted_server

DOMAIN = "order-events"
TOPIC, CHECK = f"{DOMAIN}.fifo", f"{DOMAIN}-publish-check.fifo"
ARN = f"arn:aws:sns:us-east-1:000000000000:{TOPIC}"
RUN_SECONDS = 180.0
RELAY, BARE, LEAN = "relay", "bare loop", "lean bare loop"
WARM_UP = 0.1
"""The share of events that go first, in groups of their own, and are not measured."""


class RelayRuns:
    """One run of each candidate, with an empty stub and a fresh database."""

    def __init__(self, bench: Bench, stub: StubBrokerProcess, folder: Path) -> None:
        self._bench = bench
        self._stub = stub
        self._folder = folder
        self.problems: list[str] = []
        self.body_bytes = 0.0

    async def relay(self) -> Measures:
        """A relay process empties an outbox that is filled in one transaction."""
        async with databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url:
            return await self.relay_on(url)

    async def relay_on(self, url: str, *, run: str = "") -> Measures:
        """The same on a database that exists; `run` distinguishes the groups of several runs on it."""
        sizes = self._bench.sizes
        await self._stub.reset()
        environment = relay_environment(url, self._stub.url, in_flight=sizes.in_flight)
        async with service("services.relay.main", environment, self._folder, name=RELAY) as measured:
            await self._record(url, max(10, round(sizes.events * WARM_UP)), f"{run}warm-up", measured)
            await self._stub.reset()
            server, commits = await databases.server_cpu_seconds(self._bench.admin_url), await databases.commits(url)
            cpu, stub_cpu = measured.cpu_seconds(), (await self._stub.report())["cpu_seconds"]
            report = await self._record(url, sizes.events, f"{run}measured", measured)
            cpu, commits = measured.cpu_seconds() - cpu, await databases.commits(url) - commits
            server = await databases.server_cpu_seconds(self._bench.admin_url) - server
        self.problems += problems(report, TOPIC, who=RELAY)
        topic, check, calls = report["topics"][TOPIC], report["queues"][CHECK], report["calls"]
        self.body_bytes = topic["body_bytes"] / topic["published"]
        queue_calls = calls.get("ReceiveMessage", 0) + calls.get("DeleteMessageBatch", 0)
        return {
            "accepted/s": sizes.events / (topic["last_published_at"] - topic["first_published_at"]),
            "confirmed/s": sizes.events / (check["last_deleted_at"] - topic["first_published_at"]),
            "CPU ms": cpu / sizes.events * 1000,
            "Postgres CPU ms": server / sizes.events * 1000,
            "broker CPU ms": (report["cpu_seconds"] - stub_cpu) / sizes.events * 1000,
            "SNS calls": calls["PublishBatch"] / sizes.events,
            "SQS calls": queue_calls / sizes.events,
            "transactions": commits / sizes.events,
        }

    async def statements(self) -> float:
        """SQL statements of an event, while a relay empties an outbox; counted by a proxy, without regard to time."""
        sizes = self._bench.sizes
        await self._stub.reset()
        async with (
            databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url,
            counted_server(urlsplit(url).port or 5432) as counted,
        ):
            environment = relay_environment(counted.url(url), self._stub.url, in_flight=sizes.in_flight)
            async with service("services.relay.main", environment, self._folder, name=RELAY) as measured:
                await self._record(url, max(10, round(sizes.events * WARM_UP)), "warm-up", measured)
                await self._stub.reset()
                counted.clear()
                await self._record(url, sizes.events, "measured", measured)
                return counted.statements.total() / sizes.events

    async def bare(self) -> Measures:
        """The stock client publishes the same events in a closed loop."""
        return await self._bare("stock")

    async def lean(self) -> Measures:
        """The lean client does the same."""
        return await self._bare("lean")

    async def _bare(self, client: str) -> Measures:
        sizes = self._bench.sizes
        await self._stub.reset()
        stub_cpu = (await self._stub.report())["cpu_seconds"]
        options = {
            "endpoint": self._stub.url,
            "topic-arn": ARN,
            "events": sizes.events,
            "groups": sizes.groups,
            "lines": sizes.lines,
            "in-flight": sizes.in_flight,
            "client": client,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        found = await run_tool("benchmarks.bare.publish", arguments, self._folder, most_seconds=RUN_SECONDS)
        report = await self._stub.report()
        topic = report["topics"][TOPIC]
        return {
            "accepted/s": sizes.events / (topic["last_published_at"] - topic["first_published_at"]),
            "CPU ms": found["cpu_seconds"] / sizes.events * 1000,
            "stub CPU ms": (report["cpu_seconds"] - stub_cpu) / sizes.events * 1000,
        }

    async def _record(self, url: str, count: int, prefix: str, measured: Measured) -> dict[str, Any]:
        sizes = self._bench.sizes
        await databases.record(url, make_events(count, min(count, sizes.groups), sizes.lines, prefix=prefix))
        return await reported(self._stub, deleted(CHECK, count), seconds=RUN_SECONDS, what=RELAY, measured=measured)


def relay_environment(url: str, endpoint: str, *, in_flight: int, role: str = "order_relay") -> dict[str, str]:
    """The settings of a relay; all others have their defaults."""
    return {
        "DATABASE_URL": databases.as_role(url, role),
        "AWS_ENDPOINT_URL": endpoint,
        "TOPIC": DOMAIN,
        "BATCHES_IN_FLIGHT": str(in_flight),
        "PUBLISH_CHECK_WAIT_SECONDS": "1",
        "LOG_FORMAT": "json",
    }


@asynccontextmanager
async def relay_runs(bench: Bench) -> AsyncIterator[tuple[RelayRuns, StubBrokerProcess]]:
    """Runs on a stub broker with a topic and its publish check."""
    async with stub_broker(bench.folder, subscriptions=[f"{TOPIC}={CHECK}"], latency_ms=bench.sizes.latency_ms) as stub:
        yield RelayRuns(bench, stub, bench.folder), stub


async def measure(bench: Bench) -> Section:
    """The relay over the bare loop."""
    async with relay_runs(bench) as (runs, _):
        candidates = {RELAY: runs.relay, BARE: runs.bare, LEAN: runs.lean}
        rounds, most = bench.sizes.rounds, bench.sizes.most_seconds
        series = await interleaved("relay", candidates, rounds=rounds, most_seconds=most, show="accepted/s")
        statements = await runs.statements()
        section = Section("Relay", conditions(bench, runs), problems=runs.problems)
    over = [
        ("relay accepted / bare loop", (RELAY, "accepted/s"), (BARE, "accepted/s"), "relay-stock"),
        ("relay accepted / lean bare loop", (RELAY, "accepted/s"), (LEAN, "accepted/s"), "relay-lean"),
        ("relay confirmed / bare loop", (RELAY, "confirmed/s"), (BARE, "accepted/s"), ""),
        ("relay CPU / bare loop CPU", (RELAY, "CPU ms"), (BARE, "CPU ms"), ""),
        ("lean bare loop CPU / bare loop CPU", (LEAN, "CPU ms"), (BARE, "CPU ms"), ""),
    ]
    for name, one, other, goal in over:
        section.ratios.append(RatioFound(name, series.ratio(one, other), series.null(*one), goal))
    section.numbers += [
        NumberFound("accepted", "events/s", series.values(RELAY, "accepted/s"), "accepted"),
        NumberFound("confirmed", "events/s", series.values(RELAY, "confirmed/s"), "confirmed"),
        NumberFound("bare loop", "events/s", series.values(BARE, "accepted/s")),
        NumberFound("lean bare loop", "events/s", series.values(LEAN, "accepted/s")),
        NumberFound("relay CPU, with confirmation", "ms/event", series.values(RELAY, "CPU ms"), "relay-cpu"),
        NumberFound("Postgres CPU meanwhile", "ms/event", series.values(RELAY, "Postgres CPU ms")),
        NumberFound("stub broker CPU meanwhile", "ms/event", series.values(RELAY, "broker CPU ms")),
        NumberFound("bare loop CPU", "ms/event", series.values(BARE, "CPU ms")),
        NumberFound("lean bare loop CPU", "ms/event", series.values(LEAN, "CPU ms")),
        NumberFound("stub broker CPU, to accept", "ms/event", series.values(BARE, "stub CPU ms")),
        NumberFound("SNS calls", "1/event", series.values(RELAY, "SNS calls"), "sns-calls"),
        NumberFound("SQS calls", "1/event", series.values(RELAY, "SQS calls"), "sqs-calls"),
        NumberFound("SQL statements", "1/event", [statements], "statements"),
        NumberFound("transactions (whole database)", "1/event", series.values(RELAY, "transactions")),
    ]
    return section


def conditions(bench: Bench, runs: RelayRuns) -> list[str]:
    """Under which a relay and its rivals are measured, for the page."""
    sizes = bench.sizes
    return [
        f"{sizes.events} events in {sizes.groups} groups, {runs.body_bytes:.0f} bytes each, batches of 10, "
        f"{sizes.in_flight} calls in flight, stub broker at {sizes.latency_ms:g} ms.",
        f"Each run has a fresh database and a fresh relay; {WARM_UP:.0%} of the events go first and are not measured.",
        "The null is the ratio of two neighbouring runs of the same candidate.",
    ]
