"""The connections on which events are claimed and handled, taken from the engine's pool and kept between events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import structlog

from ..database.dialect import without_transaction
from ..database.faults import connection_lost
from ..error_text import describe
from .claim import LOOK_STATEMENT, found, place
from .claim_at_once import Writes, claim_at_once
from .states import ClaimResult, InboxOutcome
from .transaction import InboxTransaction, PooledConnection

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker

    from .delivery import Delivery

log = structlog.get_logger(__name__)

T = TypeVar("T")

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
ISOLATION = "SELECT current_setting('default_transaction_isolation')"
ROLLBACK_SECONDS = 5.0
MOST_ENDED = 100
"""How many ended connections of a pool are replaced before that is an error."""
KNOWN = "event_trio.reads_committed"


class InboxConnections:
    """Connections for the events of a consumer: each is used for one event at a time.

    Between events up to `kept` of them are not given back to the engine's pool, because taking one costs more than a
    statement. The pool has to be larger, for whatever else uses the engine. `close` gives them back.

    A first statement that meets a connection which died since its last use is executed again on another connection,
    until that was new or alive.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], *, kept: int = 0) -> None:
        self.sessions = sessions
        """Sessions of the same engine, for what is not done for every event."""
        self._kept = kept
        self._idle: list[PooledConnection] = []

    async def look(self, delivery: Delivery) -> ClaimResult:
        """What a claim of a message from the queue would find, in one round trip. It decides nothing."""
        values = place(delivery)
        return found(await self._first(lambda pooled: pooled.driver.fetchrow(LOOK_STATEMENT, *values)))

    async def fetch_row(self, query: str, *values: object) -> Any:
        """The first row of a query, in one round trip and without a transaction; None if there is none."""
        return await self._first(lambda pooled: pooled.driver.fetchrow(query, *values))

    async def record(
        self, delivery: Delivery, *, new: InboxOutcome, stale: InboxOutcome, writes: Writes | None
    ) -> InboxOutcome | None:
        """Claim the event, write and commit, in one round trip.

        Returns the outcome of the inbox row. None means that nothing was claimed or written, because the event was
        processed or its group is blocked.
        """

        async def execute(pooled: PooledConnection) -> InboxOutcome | None:
            if pooled.reads_committed:
                return await claim_at_once(pooled.driver, delivery, new=new, stale=stale, writes=writes)
            await pooled.driver.execute(BEGIN)
            outcome = await claim_at_once(pooled.driver, delivery, new=new, stale=stale, writes=writes)
            await pooled.driver.execute("COMMIT")
            return outcome

        return await self._first(execute)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[InboxTransaction]:
        """A transaction, which its user commits. Without a commit it is rolled back."""
        pooled = await self._first(_begin, keep=True)
        transaction = InboxTransaction(pooled, self.sessions)
        try:
            yield transaction
            await self._give_back(pooled)
        except asyncio.CancelledError:
            # A handler that did not end may still use the connection.
            await self._discard(pooled)
            raise
        except BaseException:
            await self._roll_back(transaction)
            raise

    async def close(self) -> None:
        """Give the connections that are not in use back to the engine's pool."""
        while self._idle:
            await self._idle.pop().connection.close()

    async def _first(self, statement: Callable[[PooledConnection], Awaitable[T]], *, keep: bool = False) -> T:
        """Execute the first statement on a connection; `keep` leaves the connection in use."""
        pooled = await self._take()
        while True:
            try:
                return await self._execute(pooled, statement, keep=keep)
            except Exception as error:
                if pooled.is_new or not _died(pooled, error):
                    raise
                log.info("a connection had ended", action="consumer.connection_replaced", error=describe(error))
            # The engine's pool may have more that ended, each of which is removed; a new one ends the loop.
            await self._discard_idle()
            pooled = await self._open()

    async def _execute(
        self, pooled: PooledConnection, statement: Callable[[PooledConnection], Awaitable[T]], *, keep: bool
    ) -> T:
        try:
            result = await statement(pooled)
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not pooled.driver.is_in_transaction():
                await self._give_back(pooled)
            else:
                await self._discard(pooled)
            raise
        if not keep:
            await self._give_back(pooled)
        return result

    async def _take(self) -> PooledConnection:
        while self._idle:
            pooled = self._idle.pop()
            if not pooled.driver.is_closed():
                pooled.is_new = False
                return pooled
            await self._discard(pooled)
        return await self._open()

    async def _open(self) -> PooledConnection:
        """A connection of the engine's pool that is open as far as the driver knows.

        Its first use here asks for its isolation, which also finds whether it ended while it was in the pool.
        """
        for attempt in range(1, MOST_ENDED + 1):
            connection = await self._connect()
            try:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                raw = await connection.get_raw_connection()
                driver: Any = raw.driver_connection
                if driver.is_closed():
                    await _remove(connection)
                    continue
                is_new = KNOWN not in raw.info
                if is_new:
                    raw.info[KNOWN] = await driver.fetchval(ISOLATION) == "read committed"
                return PooledConnection(connection, driver, raw.info[KNOWN], is_new)
            except BaseException as error:
                if not connection_lost(error) or attempt == MOST_ENDED:
                    await connection.close()
                    raise
                driver.terminate()
                await _remove(connection)
        raise asyncpg.ConnectionDoesNotExistError(f"{MOST_ENDED} connections had ended when they were taken")

    async def _connect(self) -> AsyncConnection:
        token = without_transaction.set(True)
        try:
            connection: AsyncConnection = await self.sessions.kw["bind"].connect()
        finally:
            without_transaction.reset(token)
        return connection

    async def _give_back(self, pooled: PooledConnection) -> None:
        driver = pooled.driver
        if driver.is_closed() or driver.is_in_transaction() or pooled.connection.in_transaction():
            await self._discard(pooled)
        elif len(self._idle) < self._kept:
            self._idle.append(pooled)
        else:
            await pooled.connection.close()

    async def _roll_back(self, transaction: InboxTransaction) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                await transaction.rollback()
        except Exception as error:  # noqa: BLE001 - without its connection the transaction ends as well
            log.info("a connection is closed", action="consumer.connection_closed", error=describe(error))
            await self._discard(transaction.pooled)
            return
        await self._give_back(transaction.pooled)

    async def _discard(self, pooled: PooledConnection) -> None:
        """Close the connection, so that its transaction ends whatever it was doing."""
        pooled.driver.terminate()
        await asyncio.shield(_remove(pooled.connection))

    async def _discard_idle(self) -> None:
        """The server that ended one connection has probably ended all."""
        idle, self._idle = self._idle, []
        for pooled in idle:
            await self._discard(pooled)


async def _begin(pooled: PooledConnection) -> PooledConnection:
    await pooled.driver.execute(BEGIN)
    return pooled


async def _remove(connection: AsyncConnection) -> None:
    if not connection.invalidated:
        await connection.invalidate()
    await connection.close()


def _died(pooled: PooledConnection, error: BaseException) -> bool:
    """Whether the connection ended, rather than the statement failed."""
    return pooled.driver.is_closed() or connection_lost(error)
