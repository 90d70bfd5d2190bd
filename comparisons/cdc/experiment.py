"""The experiment: an outbox without a table, in which an event is a message of the write-ahead log only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from benchmarks.suite import databases
from benchmarks.suite.events import make_events
from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons.cdc.running import PAYLOAD_LINES, SEED, server, versions
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from event_trio.database.url import parse
from event_trio.envelope import uuid7
from services.relay.wal import slots
from services.relay.wal.pgoutput import ChangeDecoder, LogicalMessage, OutboxChange
from services.relay.wal.replication import ReplicationConnection

ROW, MESSAGE = "a row of the outbox", "a message in the log only"
FORMS = (ROW, MESSAGE)
EVENTS, PACE_SECONDS = 200, 0.005
EMIT = "SELECT pg_logical_emit_message(true, 'outbox', $1::bytea)"
SLOT = "outbox_experiment"
PATIENCE_SECONDS = 20.0


class LogReader:
    """Reads a slot and remembers when each event was seen."""

    def __init__(self, connection: ReplicationConnection) -> None:
        self._connection = connection
        self._decoder = ChangeDecoder()
        self._read = asyncio.Event()
        self.seen: dict[str, float] = {}

    async def wait(self, count: int) -> None:
        """Wait until so many events were seen. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.seen) < count:
                self._read.clear()
                await self._read.wait()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._connection.readable(1.0)
            for data in self._connection.received():
                match self._decoder.decode(data):
                    case OutboxChange(subject=subject):
                        self.seen[subject] = time.monotonic()
                    case LogicalMessage(content=content):
                        self.seen[content.partition(b" ")[0].decode()] = time.monotonic()
            self._read.set()


async def write(
    connection: asyncpg.Connection[asyncpg.Record], form: str, count: int, prefix: str = "event"
) -> dict[str, float]:
    """Commit so many events one by one, in this form; returns when each was committed, by group."""
    committed = {}
    for event in make_events(count, count, PAYLOAD_LINES, prefix=prefix):
        if form == ROW:
            await connection.execute(databases.INSERT, *databases.row(event))
        else:
            await connection.execute(EMIT, f"{event.group} ".encode() + event.body)
        committed[event.group] = time.monotonic()
        await asyncio.sleep(PACE_SECONDS)
    return committed


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[LogReader]:
    """Read the slot of the experiment until the end of the block."""
    connection = await ReplicationConnection.open(parse(url), uuid7())
    await connection.start(SLOT, slots.PUBLICATION, messages=True)
    reader = LogReader(connection)
    running = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await connection.close()


async def latency(environment: ComparisonEnvironment) -> LineResult:
    """From the commit until the reader has the event from the log, and the log that an event takes."""
    latencies, numbers = [], []
    for form in FORMS:
        async with _database(environment) as (url, connection), reading(url) as reader:
            before = await databases.fetch_value(url, "SELECT pg_current_wal_lsn() - '0/0'")
            committed = await write(connection, form, EVENTS)
            written = await databases.fetch_value(url, "SELECT pg_current_wal_lsn() - '0/0'") - before
            await reader.wait(EVENTS)
        latencies.append(LatencyFound(form, [max(0.0, reader.seen[g] - at) * 1000 for g, at in committed.items()]))
        numbers.append(NumberFound(form, "bytes of log an event", [written / EVENTS]))
    cells = {
        found.name: Cell(f"{found.quantile(0.5):.1f} / {found.quantile(0.99):.1f} ms, {size.median:.0f} bytes of log")
        for found, size in zip(latencies, numbers, strict=True)
    }
    return LineResult(cells, latencies=latencies, versions=await versions(environment))


async def lost_with_the_slot(environment: ComparisonEnvironment) -> LineResult:
    """Events that were committed and not read when the slot was lost, and are found afterwards."""
    cells = {}
    for form in FORMS:
        async with _database(environment) as (url, connection):
            await write(connection, form, EVENTS)
            await slots.drop(url, SLOT)
            await slots.create(url, SLOT)
            async with reading(url) as reader:
                await write(connection, form, 1, prefix="later")
                await reader.wait(1)
            unsent = "SELECT count(*) FROM outbox_event WHERE sent_at IS NULL AND subject LIKE 'event-%'"
            left = int(await databases.fetch_value(url, unsent))
        found = left if form == ROW else sum(group.startswith("event-") for group in reader.seen)
        expected = EVENTS if form == ROW else 0
        unexpected = "" if found == expected else f"{expected} of {EVENTS} found"
        cells[form] = Cell(f"{found} of {EVENTS} found", unexpected)
    return LineResult(cells, versions=await versions(environment))


@asynccontextmanager
async def _database(
    environment: ComparisonEnvironment,
) -> AsyncIterator[tuple[str, asyncpg.Connection[asyncpg.Record]]]:
    admin_url = (await server(environment)).admin_url
    async with databases.copied(admin_url, SEED) as url:
        await slots.create(url, SLOT)
        connection = await asyncpg.connect(url)
        try:
            yield url, connection
        finally:
            await connection.close()
            await slots.drop(url, SLOT)
