"""Reads the state of a database for the readiness check: one round trip on a separate connection."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from .faults import Fault, fault_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

PROBE_SECONDS = 2.5

# A setting of the role or the database applies to new sessions only, and this session is kept: look it up as well.
READ_ONLY = """
pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean OR coalesce((
    SELECT split_part(setting, '=', 2)::boolean
    FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS setting
    WHERE setting LIKE 'default_transaction_read_only=%'
      AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))
      AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
    ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1
), false)
"""

STATE = f"SELECT {READ_ONLY}, (SELECT max(version_num) FROM alembic_version)"  # noqa: S608 - of constants
STATE_ALONE = f"SELECT {READ_ONLY}, NULL"


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The state of a database that answers."""

    read_only: bool
    migration: str | None
    """The migration that it has, if this role may read it."""


async def ask(connection: Any, query: str) -> list[list[str]]:
    """The rows of a query without parameters, as text, in one round trip.

    COPY uses the simple query protocol, which prepares nothing, so it works through a pooler in transaction mode
    without an explicit transaction. NULL becomes the empty string.
    """
    parts: list[bytes] = []

    async def keep(part: bytes) -> None:
        parts.append(bytes(part))

    await connection.copy_from_query(query, output=keep, format="csv")
    return list(csv.reader(io.StringIO(b"".join(parts).decode(), newline="")))


class DatabaseProbe:
    """Probes the database of an engine without using its pool; concurrent callers share one probe."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._kept: Any = None
        self._probing: asyncio.Task[DatabaseState] | None = None
        # A relay asks without an engine, and needs no SQLAlchemy.
        from sqlalchemy import event

        event.listen(engine.sync_engine, "engine_disposed", lambda _: self._drop())

    async def state(self) -> DatabaseState:
        """The current state; raises the database's error."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
            # Every caller may have stopped waiting: retrieve the exception.
            self._probing.add_done_callback(lambda probe: probe.cancelled() or probe.exception())
        # A caller that stops waiting does not cancel the probe of the others.
        return await asyncio.shield(self._probing)

    async def _probe(self) -> DatabaseState:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._ask()
        except BaseException:
            self._drop()
            raise

    async def _ask(self) -> DatabaseState:
        connection = await self._connection()
        try:
            [(read_only, migration)] = await ask(connection, STATE)
        except asyncpg.PostgresError as error:
            if fault_of(error) is not Fault.NOT_MIGRATED:
                raise
            [(read_only, migration)] = await ask(connection, STATE_ALONE)
        return DatabaseState(read_only == "t", migration or None)

    async def _connection(self) -> Any:
        from sqlalchemy.util import greenlet_spawn

        if self._kept is None or self._kept.driver_connection.is_closed():
            self._drop()
            # A pool of the same kind connects in the same way as the engine.
            self._kept = await greenlet_spawn(self._engine.sync_engine.pool.recreate().connect)
        return self._kept.driver_connection

    def _drop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and (connection := kept.driver_connection) is not None:
            kept.detach()
            connection.terminate()
