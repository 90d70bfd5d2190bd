"""Connections to Postgres: an SQLAlchemy engine for the services, a bare asyncpg pool for the hot paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool: TypeAlias = Any
    Connection: TypeAlias = Any

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 15.0

# What a database that restarts, refuses or is cut off looks like through asyncpg.
DATABASE_FAULTS: tuple[type[BaseException], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)


def create_engine(url: str, *, application_name: str, pool_size: int = 5, overflow: int | None = None) -> AsyncEngine:
    """An engine for a plain `postgresql://` URL: it keeps `pool_size` connections, and makes `overflow` more at peaks
    (as many again, unless told).

    It prepares statements, so between it and Postgres there may be a pooler in session mode, or none.
    Connections are tested when they are taken from the pool: a restarted database costs no failed request.
    """
    scheme_less = urlsplit(url)._replace(scheme="postgresql+asyncpg")
    return create_async_engine(
        urlunsplit(scheme_less),
        pool_size=pool_size,
        max_overflow=pool_size if overflow is None else overflow,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        # An error's text goes into logs, and parameters hold personal data.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            "server_settings": {"application_name": application_name},
        },
    )


def create_pool(url: str, *, application_name: str, min_size: int = 0, max_size: int = 5) -> Pool:
    """A bare pool whose connections survive a pooler in transaction mode.

    Such a pooler may give every transaction another server connection, so no statement is kept prepared
    (https://www.pgbouncer.org/features.html) and nothing of a session is there to be reset.
    Use it through `transaction()` only, after entering it (`async with pool`), which connects to nothing yet.
    """

    async def keep_no_session(_: object) -> None:
        return None

    return asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        statement_cache_size=0,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        reset=keep_no_session,
        server_settings={"application_name": application_name},
    )


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside a transaction: the unit that a transaction-mode pooler keeps on one server connection."""
    async with pool.acquire(timeout=CONNECT_SECONDS) as connection, connection.transaction():
        yield connection
