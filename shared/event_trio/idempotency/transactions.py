"""Runs statements in the caller's transaction, of an SQLAlchemy session or of a plain asyncpg connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from ..database.connections import Pool, transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]
"""Runs a statement with its arguments (`$1`, ...) in the caller's transaction; returns the rows.

The `fetch` of an asyncpg connection has this type.
"""

Transactions: TypeAlias = Callable[[], AbstractAsyncContextManager[Fetch]]
"""Opens a transaction that is committed at the end of the block."""


def session_fetch(session: AsyncSession) -> Fetch:
    """Runs statements in the session's transaction."""

    async def fetch(statement: str, *arguments: object) -> Sequence[Any]:
        connection = await session.connection()
        result = await connection.exec_driver_sql(statement, arguments)
        return result.all() if result.returns_rows else ()

    return fetch


def session_transactions(sessions: async_sessionmaker[AsyncSession]) -> Transactions:
    """Transactions of SQLAlchemy sessions."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Fetch]:
        async with sessions.begin() as session:
            yield session_fetch(session)

    return begin


def pool_transactions(pool: Pool) -> Transactions:
    """Transactions of an asyncpg pool."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Fetch]:
        async with transaction(pool) as connection:
            yield connection.fetch

    return begin
