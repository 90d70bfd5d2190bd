"""What a large history and a large backlog cost: processor time of an event, and memory."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median

import asyncpg
import typer

from benchmarks.stub_broker.process import stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.consumer import QUEUE, consumer_environment
from benchmarks.suite.events import OrderMeasured, make_events
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.processes import Measured, process, service
from benchmarks.suite.relay import CHECK, TOPIC, RelayRuns, relay_environment, relay_runs
from benchmarks.suite.results import NumberFound, RatioFound, Section

EMPTY, HISTORY = "empty table", "with history"
CHUNK = 500_000
EACH = 10
"""Events of a group."""
FILL_CHUNK = 20_000
SAMPLE_SECONDS = 0.5
RUN_SHARE = 1.5
"""How long memory is watched, in steps of the open loops."""
# Published long ago and inside the retention; groups and ids ascend, as they do in a table that grew.
PUBLISHED = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, recorded_at, sent_at, published_at)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '/benchmark',
       'history-' || lpad((n / $3)::text, 9, '0'), n % $3 + 1, $4, $5, at, at, at
FROM (SELECT n, now() - interval '1 day' + n * interval '1 millisecond' AS at FROM generate_series($1::bigint, $2) n) e
"""
UNSENT = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)
SELECT id, '/benchmark', subject, sequence, convert_to(json_build_object('specversion', '1.0', 'id', id,
           'source', '/benchmark', 'type', 'order.measured', 'subject', subject, 'time', now(),
           'dataschema', 'https://schemas.example.com/order.measured/1', 'partitionkey', subject,
           'sequence', lpad(sequence::text, 20, '0'), 'correlationid', 'benchmark', 'data', json_build_object())::text,
           'UTF8'), $4
FROM (SELECT gen_random_uuid() AS id, 'backlog-' || (n / $3) AS subject, n % $3 + 1 AS sequence
      FROM generate_series($1::bigint, $2) n) e
"""


async def measure(bench: Bench) -> Section:
    """The cost of an event beside an empty table; then the memory of relay and consumer."""
    section = Section("Growth")
    await _history(bench, section)
    await _relay_memory(bench, section)
    await _consumer_memory(bench, section)
    return section


async def _history(bench: Bench, section: Section) -> None:
    sizes, numbers = bench.sizes, itertools.count(1)
    seed = await bench.seed("order")
    async with (
        databases.copied(bench.admin_url, seed) as empty,
        databases.copied(bench.admin_url, seed) as full,
        relay_runs(bench) as (runs, _),
    ):
        envelope = next(make_events(1, 1, 0, prefix="history")).body
        began = time.monotonic()
        await _insert(full, PUBLISHED, sizes.history, "history", envelope)
        filled = time.monotonic() - began
        size = await databases.fetch_value(full, "SELECT pg_total_relation_size('outbox_event')")

        def run(url: str) -> Callable[[], Awaitable[Measures]]:
            return lambda: _with_server(bench, runs, url, f"run-{next(numbers)}-")

        for url in (empty, full):
            await run(url)()  # the first reads what is not in memory yet
        series = await interleaved(
            "growth",
            {EMPTY: run(empty), HISTORY: run(full)},
            rounds=sizes.rounds,
            most_seconds=sizes.most_seconds,
            show="cost ms",
        )
    section.problems += runs.problems
    section.conditions.append(
        f"History: {sizes.history:,} published events in groups of {EACH}, {size / 1e9:.1f} GB with indexes, inserted "
        f"in {filled:.0f} s and vacuumed. A relay publishes {sizes.events} events in {sizes.groups} groups beside it, "
        "and the same beside only what it published before. `cost` is the processor time of the relay and of Postgres "
        "with its vacuum."
    )
    for measure, text, goal in (
        ("cost ms", "cost", "history"),
        ("CPU ms", "relay CPU", ""),
        ("server ms", "Postgres CPU", ""),
        ("accepted/s", "accepted", ""),
    ):
        ratio = series.ratio((HISTORY, measure), (EMPTY, measure))
        null = series.null(EMPTY, measure) or series.null(HISTORY, measure)
        section.ratios.append(RatioFound(f"{text} with history / without", ratio, null, goal))
    for name in (EMPTY, HISTORY):
        section.numbers += [
            NumberFound(f"relay CPU, {name}", "ms/event", series.values(name, "CPU ms")),
            NumberFound(f"Postgres CPU, {name}", "ms/event", series.values(name, "server ms")),
        ]


async def _with_server(bench: Bench, runs: RelayRuns, url: str, name: str) -> Measures:
    """A run of the relay, with the processor time of Postgres, which includes the start of the relay."""
    before = await databases.server_cpu_seconds(bench.admin_url)
    found = await runs.relay_on(url, run=name)
    server = (await databases.server_cpu_seconds(bench.admin_url) - before) / bench.sizes.events * 1000
    return {**found, "server ms": server, "cost ms": found["CPU ms"] + server}


async def _relay_memory(bench: Bench, section: Section) -> None:
    sizes = bench.sizes
    async with (
        databases.copied(bench.admin_url, await bench.seed("order")) as url,
        stub_broker(bench.folder, subscriptions=[f"{TOPIC}={CHECK}"], latency_ms=sizes.latency_ms) as stub,
    ):
        await _insert(url, UNSENT, sizes.backlog, "backlog")
        environment = relay_environment(url, stub.url, in_flight=sizes.in_flight)
        async with service("services.relay.main", environment, bench.folder, name="relay") as measured:
            await _watch("relay", bench, measured, section)
        done = (await stub.report())["topics"][TOPIC]["published"]
    section.conditions.append(
        f"Relay memory: {sizes.backlog:,} events in {sizes.backlog // EACH:,} groups wait, of which it published "
        f"{done:,} meanwhile."
    )


async def _consumer_memory(bench: Bench, section: Section) -> None:
    sizes = bench.sizes
    async with (
        databases.copied(bench.admin_url, await bench.seed("notification")) as url,
        stub_broker(bench.folder, queues=[QUEUE], latency_ms=sizes.latency_ms) as stub,
    ):
        attributes = {"type": {"DataType": "String", "StringValue": OrderMeasured.type}}
        made = make_events(sizes.backlog, max(1, sizes.backlog // EACH), 1, prefix="backlog")
        for begin in range(0, sizes.backlog, FILL_CHUNK):
            messages = [
                {"group": each.group, "id": str(each.event_id), "body": each.body.decode(), "attributes": attributes}
                for each in itertools.islice(made, FILL_CHUNK)
            ]
            await stub.fill(QUEUE, messages)
            if begin % (10 * FILL_CHUNK) == 0:
                typer.echo(f"growth: {begin + len(messages):,} of {sizes.backlog:,} messages are in the queue")
        environment = consumer_environment(url, QUEUE, stub.url)
        async with process("benchmarks.empty_consumer", environment, bench.folder) as measured:
            await _watch("consumer", bench, measured, section)
        done = (await stub.report())["queues"][QUEUE]["deleted"]
    section.conditions.append(
        f"Consumer memory: {sizes.backlog:,} messages in {sizes.backlog // EACH:,} groups wait, of which it handled "
        f"{done:,} meanwhile."
    )


async def _watch(who: str, bench: Bench, measured: Measured, section: Section) -> None:
    """Resident memory while it works: the most, and whether it grows after the first third."""
    samples = list[float]()
    deadline = time.monotonic() + bench.sizes.step_seconds * RUN_SHARE
    while time.monotonic() < deadline:
        await asyncio.sleep(SAMPLE_SECONDS)
        measured.ensure_running()
        samples.append(measured.resident_bytes() / 1e6)
    typer.echo(f"growth: memory of the {who}: {samples[-1]:.0f} MB at the end")
    third = max(1, len(samples) // 3)
    grown = median(samples[-third:]) / median(samples[third : 2 * third] or samples)
    section.numbers += [
        NumberFound(f"{who}, memory at most", "MB", [max(samples)], f"{who}-memory"),
        NumberFound(f"{who}, memory in the last third / the second", "ratio", [grown], f"{who}-flat"),
    ]


async def _insert(url: str, statement: str, count: int, what: str, *more: object) -> None:
    async with _owner(url) as connection:
        for begin in range(0, count, CHUNK):
            end = min(begin + CHUNK, count)
            await connection.execute(statement, begin, end - 1, EACH, *more, databases.ATTRIBUTES)
            typer.echo(f"growth: {end:,} of {count:,} rows of {what} are inserted")
        await connection.execute("VACUUM (FREEZE, ANALYZE) outbox_event")
        await connection.execute("CHECKPOINT")


@asynccontextmanager
async def _owner(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url, command_timeout=900)
    try:
        await connection.execute("SET synchronous_commit = off")
        yield connection
    finally:
        await connection.close()
