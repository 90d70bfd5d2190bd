"""Connections to Postgres: SQLAlchemy engines for services, asyncpg pools for hot paths."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from .direct import connect_directly_if_possible, keeps_session
from .faults import DATABASE_FAULTS as DATABASE_FAULTS
from .faults import connection_ended, ends_connection
from .session_limits import limit_session
from .url import parse

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Connections: TypeAlias = Callable[[], AbstractAsyncContextManager[asyncpg.Connection[asyncpg.Record]]]
else:
    Pool: TypeAlias = Any
    Connection: TypeAlias = Any
    Connections: TypeAlias = Any

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 15.0
CLOSE_SECONDS = 1.0
# The isolation of statements without a transaction is that of the engine's transactions, whatever the role has.
ENGINE_SESSION = f"SET default_transaction_isolation TO 'read committed'; {limit_session()}"


def create_engine(url: str, *, application_name: str, pool_size: int = 5, overflow: int | None = None) -> AsyncEngine:
    """An engine for a `postgresql://` URL: it keeps `pool_size` connections, and opens up to `overflow` more at peaks
    (by default as many again).

    It prepares statements, so a pooler between it and Postgres must be in session mode. A transaction begins when a
    connection is taken from the pool. If that meets a dead connection, it begins on a new one, so that a restart of the
    database fails no request.
    """
    # A relay works without an engine, and SQLAlchemy is a third of what it would import.
    from sqlalchemy.ext.asyncio import create_async_engine

    from . import dialect

    dialect.register()
    return create_async_engine(
        dialect.URL,
        # Whatever the database's default is: under REPEATABLE READ concurrent inserts into the inbox would fail.
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=pool_size if overflow is None else overflow,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        # Error texts are logged, and parameters contain personal data.
        hide_parameters=True,
        connect_args={
            **parse(url).arguments(),
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            "server_settings": {"application_name": application_name},
        },
    )


def limit_waits(engine: AsyncEngine) -> AsyncEngine:
    """Let new connections of the engine wait for a lock, and keep a transaction open, only so long.

    Statements without a transaction are READ COMMITTED, as its transactions are.

    The same limits as `create_login_role` gives a role, for a role that was made elsewhere. They are set by a statement
    and not at the start of the session, where PgBouncer refuses parameters that it does not know.
    """

    from sqlalchemy import event

    @event.listens_for(engine.sync_engine, "connect")
    def limit(connection: Any, _: object) -> None:
        connection.run_async(lambda driver: driver.execute(ENGINE_SESSION))

    return engine


@asynccontextmanager
async def autocommit(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The driver's connection, from the engine's pool, on which each statement is a transaction of its own.

    For hot paths: no BEGIN, no COMMIT, and nothing of SQLAlchemy between the caller and the driver. A dead connection
    is replaced when it is taken from the pool, if the end of the connection was noticed. Raises PoolExhausted, and the
    driver's errors.
    """
    from sqlalchemy.util import greenlet_spawn

    from .dialect import driver_errors, without_transaction

    token = without_transaction.set(True)
    try:
        with driver_errors():
            pooled = await greenlet_spawn(engine.sync_engine.raw_connection)
    finally:
        without_transaction.reset(token)
    connection: Any = pooled.driver_connection
    try:
        yield connection
    except BaseException as error:
        # After an error response, and after an error of the caller, the connection can be used again.
        if isinstance(error, TimeoutError | OSError) or ends_connection(error) or connection.is_closed():
            connection.terminate()
            await greenlet_spawn(pooled.invalidate)
        raise
    finally:
        await greenlet_spawn(pooled.close)


def create_pool(url: str, *, application_name: str, min_size: int = 0, max_size: int = 5) -> Pool:
    """An asyncpg pool that works through a pooler in transaction mode.

    Such a pooler may use another server connection for every transaction, so no statement is kept prepared
    (https://www.pgbouncer.org/features.html) and no session state is reset. Each connection finds out whether there is
    a pooler, and keeps statements prepared if there is none. Use the pool through `transaction()` and
    `single_statement()` only, after entering it (`async with pool`), which does not connect yet. See `open_pool`.

    On a direct connection a transaction may take `POOL_TRANSACTION_SECONDS`; behind a pooler the role's limits apply.
    """

    async def keep_no_session(_: object) -> None:
        return None

    return asyncpg.create_pool(
        **parse(url).arguments(),
        min_size=min_size,
        max_size=max_size,
        statement_cache_size=0,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        reset=keep_no_session,
        connect=connect_directly_if_possible,
        server_settings={"application_name": application_name},
    )


@asynccontextmanager
async def open_pool(url: str, *, application_name: str, max_size: int = 5) -> AsyncIterator[Pool]:
    """A pool until the end of the block, which then closes its connections and terminates those that do not answer."""
    pool = create_pool(url, application_name=application_name, max_size=max_size)
    try:
        yield await pool
    finally:
        # An idle connection may have died long ago. That must neither fail nor delay whoever is done with the pool.
        with suppress(*DATABASE_FAULTS):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()


async def connect(
    url: str, *, command_timeout: float | None = None, timeout: float = CONNECT_SECONDS
) -> asyncpg.Connection[asyncpg.Record]:
    """A single connection outside a pool. No statement is kept prepared, so it works through any pooler."""
    return await asyncpg.connect(
        **parse(url).arguments(), timeout=timeout, command_timeout=command_timeout, statement_cache_size=0
    )


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection in a READ COMMITTED transaction, the unit that a transaction-mode pooler keeps on one connection."""
    async with acquire(pool) as connection, connection.transaction(isolation="read_committed"):
        yield connection


@asynccontextmanager
async def single_statement(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for exactly one statement, which is a READ COMMITTED transaction of its own.

    A direct connection needs one round trip for it. Through a pooler it takes four, because the statement is parsed and
    executed in two steps, which only an explicit transaction keeps on one server connection.
    """
    async with acquire(pool) as connection:
        if keeps_session(connection):
            yield connection
        else:
            async with connection.transaction(isolation="read_committed"):
                yield connection


@asynccontextmanager
async def acquire(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool. One that the server is closing is discarded instead of returned to the pool."""
    async with pool.acquire(timeout=CONNECT_SECONDS) as connection:
        try:
            yield connection
        except (asyncpg.InternalClientError, asyncpg.InterfaceError) as error:
            if connection_ended(error):
                connection.terminate()
            raise
