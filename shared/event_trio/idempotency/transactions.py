"""One way to run a statement in the caller's transaction, whether that is a session's or asyncpg's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..database.connections import Pool, transaction

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]
"""Runs a statement with its arguments (`$1`, ...) in a transaction that somebody else ends; returns the rows.

An asyncpg connection's `fetch` is one.
"""

Transactions: TypeAlias = Callable[[], AbstractAsyncContextManager[Fetch]]
"""Opens a transaction, which is committed at the end of the block."""


def session_fetch(session: AsyncSession) -> Fetch:
    """The statements run in the session's transaction."""

    async def fetch(statement: str, *arguments: object) -> Sequence[Any]:
        connection = await session.connection()
        result = await connection.exec_driver_sql(statement, arguments)
        return result.all() if result.returns_rows else ()

    return fetch


def session_transactions(sessions: async_sessionmaker[AsyncSession]) -> Transactions:
    """Transactions of sessions."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Fetch]:
        async with sessions.begin() as session:
            yield session_fetch(session)

    return begin


def pool_transactions(pool: Pool) -> Transactions:
    """Transactions of a bare asyncpg pool."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Fetch]:
        async with transaction(pool) as connection:
            yield connection.fetch

    return begin
