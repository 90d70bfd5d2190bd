"""One relay between a database and a stub broker, with one of the sources of new events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import deleted, reported
from benchmarks.suite.events import make_events
from benchmarks.suite.processes import ROOT, service
from benchmarks.suite.relay import CHECK, TOPIC, relay_environment
from benchmarks.suite.relay_latency import Writer
from comparisons.environment import ComparisonEnvironment
from event_trio.outbox import OutboxNotifier
from services.relay.wal import slots
from tools.embedded.postgres import EmbeddedPostgres

NOTIFIED, POLLED, LOG = "`table`", "`table`, no NOTIFY", "`wal`"
SOURCES = (NOTIFIED, POLLED, LOG)
CONNECTIONS = 4
WARM_UP_EVENTS = 20
DRAIN_SECONDS = 30.0
SEED = "seed_cdc"
PAYLOAD_LINES = 2


@dataclass(frozen=True)
class RunningRelay:
    """A relay that is ready, and a writer on its outbox."""

    url: str
    admin_url: str
    slot: str
    stub: StubBrokerProcess
    writer: Writer

    async def drained(self, count: int) -> dict[str, Any]:
        """Wait until so many events, warm-up included, came back; returns the broker's report."""
        what = f"the relay with {count} events"
        return await reported(self.stub, deleted(CHECK, count), seconds=DRAIN_SECONDS, what=what)

    async def value(self, query: str) -> float:
        """The first value of a query."""
        return await databases.fetch_value(self.url, query)


class _NoNotifier(OutboxNotifier):
    """Notifies nobody."""

    def notify(self) -> None:
        """Do nothing."""


async def server(environment: ComparisonEnvironment) -> EmbeddedPostgres:
    """The server of this part, with a migrated database to copy."""
    found = await environment.postgres("cdc", databases.SERVER)
    existing = await databases.fetch(found.admin_url, f"SELECT FROM pg_database WHERE datname = '{SEED}'")
    if not existing:
        await databases.migrated(found.admin_url, "order", environment.folder, name=SEED, source=ROOT)
    return found


async def versions(environment: ComparisonEnvironment) -> dict[str, str]:
    """The version of the server."""
    rows = await databases.fetch((await server(environment)).admin_url, "SHOW server_version")
    return {"Postgres": str(rows[0][0])}


@asynccontextmanager
async def relay(environment: ComparisonEnvironment, source: str) -> AsyncIterator[RunningRelay]:
    """A relay with this source, after some events that are not measured."""
    admin_url, stopping = (await server(environment)).admin_url, asyncio.Event()
    async with (
        stub_broker(environment.folder, subscriptions=[f"{TOPIC}={CHECK}"], latency_ms=2.0, times=True) as stub,
        databases.copied(admin_url, SEED) as url,
        asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool,
    ):
        slot = f"outbox_{url.rpartition('/')[2]}"
        given = relay_environment(url, stub.url, in_flight=8)
        if source == LOG:
            await slots.create(url, slot)
            given |= {"SOURCE": "wal", "WAL_DATABASE_URL": url}
        notifier = OutboxNotifier(url) if source == NOTIFIED else _NoNotifier(url)
        telling = asyncio.create_task(notifier.run(stopping))
        try:
            async with service("services.relay.main", given, environment.folder) as process:
                running = RunningRelay(url, admin_url, slot, stub, Writer(pool, notifier))
                warm_up = make_events(WARM_UP_EVENTS, WARM_UP_EVENTS, PAYLOAD_LINES, prefix="warm-up")
                await running.writer.open_loop([[each] for each in warm_up], 60.0)
                await running.drained(WARM_UP_EVENTS)
                await _has_source(process.url, source)
                yield running
        finally:
            stopping.set()
            await telling
            if source == LOG:
                await slots.drop(url, slot)


async def _has_source(url: str, source: str) -> None:
    """Wait until the relay reads the log, where it should; raises TimeoutError."""
    async with asyncio.timeout(DRAIN_SECONDS), httpx.AsyncClient(base_url=url) as api:
        while source == LOG and (await api.get("/v1/outbox/source")).json()["state"] != "streaming":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
