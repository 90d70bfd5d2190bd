"""What a service costs before it has done anything: time and processor time to ready, and at rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from statistics import median

from benchmarks.stub_broker.process import stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.imports import import_milliseconds
from benchmarks.suite.interleaving import Measures, Run, interleaved
from benchmarks.suite.processes import service
from benchmarks.suite.relay import CHECK, TOPIC, relay_environment
from benchmarks.suite.results import NumberFound, Section

SERVICES = ("order", "relay", "notification")
MOST_ROUNDS = 3
IMPORTS_OF = "order"
"""The service whose imports are listed; the others import about the same."""
MOST_PACKAGES = 10
REST_SHARE = 0.25
"""The time at rest, as a share of a step of the open loops."""


async def measure(bench: Bench) -> Section:
    """Each service, alone, with nothing to do."""
    sizes = bench.sizes
    rest = sizes.step_seconds * REST_SHARE
    queues = [f"{name}.fifo" for name in ("notification-order-events", "order-notification-events")]
    dead_letter_queues = [f"{queue[:-5]}-{kind}.fifo" for queue in queues for kind in ("dlq", "undelivered")]
    subscriptions = [
        f"{TOPIC}={queues[0]}",
        f"{TOPIC}={CHECK}",
        f"notification-events.fifo={queues[1]}",
    ]
    async with stub_broker(
        bench.folder, subscriptions=subscriptions, queues=dead_letter_queues, latency_ms=sizes.latency_ms
    ) as stub:

        def run(name: str) -> Run:
            return lambda: _run(bench, name, stub.url, rest)

        series = await interleaved(
            "start",
            {name: run(name) for name in SERVICES},
            rounds=min(sizes.rounds, MOST_ROUNDS),
            most_seconds=sizes.most_seconds,
            show="start CPU s",
        )
    section = Section("Start and rest")
    section.conditions += [
        "Each service alone, with an empty database and empty queues; compiled modules are in place after the first "
        "round.",
        "Imports are measured once, by `python -X importtime`, which adds to them; each is without what it imports.",
        f"At rest is the {rest:g} s after it was ready. Memory is resident memory at the end.",
    ]
    for name in SERVICES:
        section.numbers += [
            NumberFound(f"{name}, start to ready", "s", series.values(name, "start s")),
            NumberFound(f"{name}, CPU to ready", "s", series.values(name, "start CPU s")),
            NumberFound(f"{name}, CPU at rest", "ms/s", series.values(name, "rest CPU ms/s")),
            NumberFound(f"{name}, memory", "MB", series.values(name, "memory MB")),
        ]
    imported = await import_milliseconds(f"services.{IMPORTS_OF}.main")
    total = imported.total()
    most = imported.most_common(MOST_PACKAGES)
    section.numbers += [
        NumberFound(f"{IMPORTS_OF}, imports of {package}", "ms", [milliseconds]) for package, milliseconds in most
    ]
    rest_of_them = total - sum(milliseconds for _, milliseconds in most)
    section.numbers.append(NumberFound(f"{IMPORTS_OF}, imports of all other packages", "ms", [rest_of_them]))
    for measure_name, unit, name, goal in (
        ("start CPU s", "s", "CPU to ready, the slowest service", "start"),
        ("memory MB", "MB", "memory at rest, the largest service", "rest-memory"),
    ):
        largest = max(median(series.values(each, measure_name)) for each in SERVICES)
        section.numbers.append(NumberFound(name, unit, [largest], goal))
    return section


async def _run(bench: Bench, name: str, endpoint: str, rest: float) -> Measures:
    seed = "notification" if name == "notification" else "order"
    async with databases.copied(bench.admin_url, await bench.seed(seed)) as url:
        began = time.monotonic()
        async with service(f"services.{name}.main", _environment(bench, name, url, endpoint), bench.folder) as measured:
            ready, cpu = time.monotonic() - began, measured.cpu_seconds()
            await asyncio.sleep(rest)
            return {
                "start s": ready,
                "start CPU s": cpu,
                "rest CPU ms/s": (measured.cpu_seconds() - cpu) / rest * 1000,
                "memory MB": measured.resident_bytes() / 1e6,
            }


def _environment(bench: Bench, name: str, url: str, endpoint: str) -> Mapping[str, str]:
    if name == "relay":
        return relay_environment(url, endpoint, in_flight=bench.sizes.in_flight)
    return {"DATABASE_URL": databases.as_role(url, f"{name}_api"), "AWS_ENDPOINT_URL": endpoint, "LOG_FORMAT": "json"}
