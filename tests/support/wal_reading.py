"""A source of the write-ahead log without a relay around it: what it announces is remembered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from prometheus_client import CollectorRegistry

from event_trio.envelope import uuid7
from event_trio.signals import Signals
from services.relay.metrics import RelayMetrics
from services.relay.wal.source import SourceLinks, WalSource
from services.relay.wal.source_state import SourceState
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import pool, query
from tests.support.waiting import eventually


@dataclass
class Reading:
    """A source that runs, and what it has called."""

    relay_id: UUID
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    signals: Signals = field(default_factory=Signals)
    lanes: set[int] = field(default_factory=lambda: set(range(64)))
    announced: list[str] = field(default_factory=list)
    passed_on: list[set[int]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """The states and the reads of everything, in their order."""

    def read_everything(self) -> None:
        self.calls.append("read everything")

    async def becomes(self, state: SourceState, source: WalSource) -> None:
        """Wait until the source is in this state."""

        async def is_there() -> bool:
            assert source.status.state is state, source.status
            return True

        await eventually(is_there)


@asynccontextmanager
async def reading(
    database: TestDatabase, *, relay_id: UUID | None = None, confirmed_wakes: bool = False, lease: bool = True
) -> AsyncIterator[tuple[WalSource, Reading]]:
    """Run a source on the outbox of this database, as a relay with a lease."""
    made = Reading(relay_id or uuid7())
    links = SourceLinks(
        owns=lambda lane: lane in made.lanes,
        has_lease=lambda: True,
        announce=made.announced.extend,
        pass_on=made.passed_on.append,
        read_everything=made.read_everything,
    )
    if lease:
        await beat(database, made.relay_id)
    async with pool(database.url_for(OUTBOX_RELAY)) as relay_pool:
        source = WalSource(
            relay_pool,
            wal_source.reader_url(database.url),
            made.relay_id,
            slot=wal_source.slot_of(database.url),
            links=links,
            confirmed_wakes=confirmed_wakes,
            metrics=RelayMetrics(made.registry),
            signals=made.signals,
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(source.run(stopping))
        try:
            yield source, made
        finally:
            stopping.set()
            await running


async def beat(database: TestDatabase, relay_id: UUID, *, lease_seconds: float = 60.0) -> None:
    """Let a relay have a lease."""
    await query(
        database.url,
        """
        INSERT INTO outbox_relay (relay_id, lease_seconds) VALUES ($1, $2)
        ON CONFLICT (relay_id) DO UPDATE SET heartbeat_at = clock_timestamp(), lease_seconds = $2
        """,
        relay_id,
        lease_seconds,
    )


async def confirmed(database: TestDatabase) -> int:
    """The confirmed position of the slot."""
    rows = await query(
        database.url,
        "SELECT (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint FROM pg_replication_slots WHERE slot_name = $1",
        wal_source.slot_of(database.url),
    )
    return int(rows[0][0])


async def end_of_log(database: TestDatabase) -> int:
    """The end of the log now."""
    return int((await query(database.url, "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"))[0][0])


async def two_looks(made: Reading) -> None:
    """Wait until the source has looked at its slot twice more."""
    before = len(made.signals.seen("wal.looked"))

    async def looked() -> bool:
        return len(made.signals.seen("wal.looked")) >= before + 2

    await eventually(looked)


async def insert(connection: "asyncpg.Connection[asyncpg.Record]", subject: str) -> None:
    """Insert an event on this connection."""
    await connection.execute(
        """
        INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)
        VALUES (gen_random_uuid(), '/tests', $1, 1, '{}', '{}')
        """,
        subject,
    )
