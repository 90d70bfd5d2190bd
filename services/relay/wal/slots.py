"""SQL about the replication slot: what it is worth now, who holds it, and what creates and drops it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from event_trio.database.connections import Pool, connect, single_statement
from event_trio.outbox.publication import COLUMNS
from event_trio.outbox.publication import PUBLICATION as PUBLICATION

from .source_state import SourceState
from .unseen_changes import Snapshot

PLUGIN = "pgoutput"
NAME_PREFIX = "relay-wal "
# Creating a slot waits for every transaction that is open on the server.
CREATE_SECONDS = 30.0

# pg_replication_slots and the names of connections are readable for every role. Columns of later versions are read
# through JSON.
LOOK = f"""
-- look: the slot, who holds it and whether that is a live relay, what it keeps, and whether the publication fits
SELECT current_setting('wal_level') = 'logical' AS logical,
       (log.position - '0/0'::pg_lsn)::bigint AS position,
       slot.slot_name IS NOT NULL AS found,
       slot.plugin IS NOT DISTINCT FROM '{PLUGIN}' AND slot.database = current_database() AS suitable,
       slot.wal_status = 'lost' OR to_jsonb(slot) ->> 'invalidation_reason' IS NOT NULL AS lost,
       to_jsonb(slot) ->> 'invalidation_reason' AS lost_because,
       slot.active_pid, holder.application_name AS holder,
       (log.position - slot.restart_lsn)::bigint AS kept,
       (log.position - slot.confirmed_flush_lsn)::bigint AS unconfirmed,
       slot.safe_wal_size AS safe, (to_jsonb(slot) ->> 'failover')::boolean AS failover,
       EXISTS (
           SELECT FROM outbox_relay relay WHERE holder.application_name = '{NAME_PREFIX}' || relay.relay_id
             AND relay.heartbeat_at > clock_timestamp() - relay.lease_seconds * interval '1 second'
       ) AS holder_lives,
       coalesce((
           SELECT published.pubinsert AND published.pubupdate AND $3::text[] <@ (
               SELECT array_agg(covered.name::text) FROM unnest(tables.attnames) AS covered(name)
           )
           FROM pg_publication published JOIN pg_publication_tables tables USING (pubname)
           WHERE published.pubname = $2
             AND (tables.schemaname, tables.tablename) = (
                 SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.oid = 'outbox_event'::regclass
             )
       ), false) AS published
FROM (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS position
) AS log
LEFT JOIN pg_replication_slots slot ON slot.slot_name = $1
LEFT JOIN pg_stat_activity holder ON holder.pid = slot.active_pid
"""  # noqa: S608 - constants only

UNSENT = """
-- unsent: those of some events that a relay still has to send
SELECT e.id FROM outbox_event e WHERE e.id = ANY ($1::bigint[]) AND e.sent_at IS NULL AND e.held_at IS NULL
"""

SNAPSHOT = """
-- snapshot: which transactions a statement sees now
SELECT pg_current_snapshot()::text
"""

TERMINATE = """
-- terminate: end a connection of this role
SELECT pg_terminate_backend($1)
"""

# The argument exists since Postgres 17.
CREATE = f"""
-- create: a slot that outlives its reader
SELECT lsn::text FROM pg_create_logical_replication_slot($1, '{PLUGIN}')
"""  # noqa: S608 - constants only
CREATE_FAILOVER = f"""
-- create_failover: the same, which standbys copy (sync_replication_slots)
SELECT lsn::text FROM pg_create_logical_replication_slot($1, '{PLUGIN}', failover => true)
"""  # noqa: S608 - constants only

DROP = """
-- drop: the slot, and the log that was kept for it
SELECT pg_drop_replication_slot($1)
"""

OPEN_TRANSACTIONS = """
-- open_transactions: the connections with a transaction that has written
SELECT DISTINCT pid FROM pg_locks
WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND pid <> pg_backend_pid() ORDER BY pid
"""


@dataclass(frozen=True, slots=True)
class SlotObservation:
    """The slot and its surroundings as the database shows them."""

    logical: bool
    position: int
    """The end of the log now."""
    found: bool
    suitable: bool
    lost: bool
    lost_because: str | None
    active_pid: int | None
    holder: str | None
    holder_lives: bool
    published: bool
    kept: int | None
    unconfirmed: int | None
    safe: int | None
    failover: bool | None

    @property
    def held_by_relay(self) -> bool:
        """Whether a relay of this kind holds the slot, alive or not."""
        return self.active_pid is not None and (self.holder or "").startswith(NAME_PREFIX)

    def obstacle(self, slot: str) -> tuple[SourceState, str] | None:
        """Why the slot cannot be read, whoever holds it; None if it can."""
        if not self.logical:
            return SourceState.WAL_LEVEL, "the server's wal_level is not `logical`"
        if not self.found:
            return SourceState.SLOT_MISSING, f"the replication slot {slot} does not exist"
        if not self.suitable:
            return SourceState.SLOT_UNSUITABLE, f"the replication slot {slot} is not one of {PLUGIN} in this database"
        if self.lost:
            why = f" ({self.lost_because})" if self.lost_because else ""
            return SourceState.SLOT_LOST, f"the server has given the replication slot {slot} up{why}"
        if not self.published:
            return (
                SourceState.PUBLICATION_MISSING,
                f"the publication {PUBLICATION} is missing, or lacks columns of the outbox",
            )
        return None


def application_name(relay_id: UUID) -> str:
    """The name under which a relay's replication connection is seen by others."""
    return f"{NAME_PREFIX}{relay_id}"


async def look(pool: Pool, slot: str) -> SlotObservation:
    """Observe the slot. Raises what the database raises."""
    async with single_statement(pool) as connection:
        row = await connection.fetchrow(LOOK, slot, PUBLICATION, list(COLUMNS))
    return SlotObservation(**{name: row[name] for name in SlotObservation.__dataclass_fields__})


async def still_unsent(pool: Pool, event_ids: list[int]) -> set[int]:
    """Return those of the events that are still to be sent. Raises what the database raises."""
    async with single_statement(pool) as connection:
        return {row["id"] for row in await connection.fetch(UNSENT, event_ids)}


async def snapshot(pool: Pool) -> Snapshot:
    """Return which transactions are visible now. Raises what the database raises."""
    async with single_statement(pool) as connection:
        return Snapshot.parse(await connection.fetchval(SNAPSHOT))


async def terminate(url: str, pid: int) -> None:
    """End the connection of a relay that is gone; only connections of the same role can be ended."""
    connection = await connect(url)
    try:
        await connection.fetchval(TERMINATE, pid)
    finally:
        await connection.close()


async def create(url: str, slot: str, *, failover: bool = False, seconds: float = CREATE_SECONDS) -> str:
    """Create the slot; returns the position from which it has the log.

    Raises TransactionsOpen if open transactions did not end in time, and what the database raises.
    """
    connection = await connect(url)
    try:
        statement = CREATE_FAILOVER if failover else CREATE
        position: str = await connection.fetchval(statement, slot, timeout=seconds)
    except TimeoutError as error:
        raise TransactionsOpen(await _open_transactions(url)) from error
    finally:
        await connection.close()
    return position


async def drop(url: str, slot: str) -> None:
    """Drop the slot. Raises what the database raises."""
    connection = await connect(url)
    try:
        await connection.fetchval(DROP, slot)
    finally:
        await connection.close()


class TransactionsOpen(Exception):
    """A slot cannot begin before the transactions that are open have ended."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(f"transactions of these processes are open: {', '.join(map(str, pids)) or 'unknown'}")
        self.pids = pids


async def _open_transactions(url: str) -> list[int]:
    connection: asyncpg.Connection[asyncpg.Record] = await connect(url)
    try:
        return [row["pid"] for row in await connection.fetch(OPEN_TRANSACTIONS)]
    finally:
        await connection.close()
