"""Asks a database how it stands, for readiness: one question, one round trip, on a connection of its own."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from .faults import Fault, fault_of

LOOK_SECONDS = 2.5

# A setting of the role or the database holds for new sessions only, and this one is kept: so it is looked up too.
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
    """How a database stands that answers."""

    read_only: bool
    migration: str | None
    """Its newest migration, as far as this role may see."""


async def ask(connection: Any, query: str) -> list[list[str]]:
    """The rows of a query without parameters, as text, in one round trip.

    COPY goes by the simple protocol: nothing is prepared, so it fits through a pooler in transaction mode without a
    transaction around it. NULL is the empty text.
    """
    parts: list[bytes] = []

    async def keep(part: bytes) -> None:
        parts.append(bytes(part))

    await connection.copy_from_query(query, output=keep, format="csv")
    return list(csv.reader(io.StringIO(b"".join(parts).decode(), newline="")))


class DatabaseProbe:
    """Looks at the database of an engine, beside its pool, which may be busy; callers at one time share one look."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._kept: Any = None
        self._looking: asyncio.Task[DatabaseState] | None = None
        event.listen(engine.sync_engine, "engine_disposed", lambda _: self._drop())

    async def look(self) -> DatabaseState:
        """How it stands now; raises what the database raises."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            # Nobody may be left to hear of it.
            self._looking.add_done_callback(lambda looking: looking.cancelled() or looking.exception())
        # Whoever stops waiting leaves the others their answer.
        return await asyncio.shield(self._looking)

    async def _look(self) -> DatabaseState:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
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
        if self._kept is None or self._kept.driver_connection.is_closed():
            self._drop()
            # A pool of the same kind connects as the engine does.
            self._kept = await greenlet_spawn(self._engine.sync_engine.pool.recreate().connect)
        return self._kept.driver_connection

    def _drop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and (connection := kept.driver_connection) is not None:
            kept.detach()
            connection.terminate()
