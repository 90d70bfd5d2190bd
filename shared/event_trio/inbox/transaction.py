"""The transaction in which an event is claimed and its handler writes, on the driver's connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import EventTrioError
from .claim_at_once import Writes, claim_at_once, write
from .states import ClaimResult, InboxOutcome

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker
    from sqlalchemy.orm import SessionTransaction

    from ..database.table_sets import AsyncpgConnection
    from .delivery import Delivery


class TransactionEnded(EventTrioError):
    """The handler ended the transaction that it was given. Only its caller may commit or roll back."""


class TransactionFailed(EventTrioError):
    """A statement of the handler failed, and the handler continued. Postgres commits nothing of such a transaction."""


@dataclass(slots=True, eq=False)
class PooledConnection:
    """A connection of the engine's pool, and the driver's connection in it."""

    connection: AsyncConnection
    """SQLAlchemy's connection, on which nothing begins a transaction."""
    driver: AsyncpgConnection
    reads_committed: bool
    """Whether a statement without a transaction is READ COMMITTED."""
    is_new: bool
    """Whether it was opened just now, so that it cannot have died since its last use."""


class InboxTransaction:
    """An open transaction. A session exists only if somebody asks for it."""

    def __init__(self, pooled: PooledConnection, sessions: async_sessionmaker[AsyncSession]) -> None:
        self.pooled = pooled
        self._sessions = sessions
        self._session: AsyncSession | None = None
        self._begun: SessionTransaction | None = None

    @property
    def connection(self) -> AsyncpgConnection:
        """The driver's connection."""
        return self.pooled.driver

    def session(self) -> AsyncSession:
        """A session whose statements are part of the transaction. Its own commit and rollback do nothing."""
        if self._session is None:
            self._session = self._sessions(bind=self.pooled.connection)
            # Compared at the end: a handler that ends it is found, though that has no effect here.
            self._begun = self._session.sync_session.begin()
        return self._session

    async def claim(self, delivery: Delivery, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """Claim the event, as `Delivery.claim`."""
        if delivery.is_claimed_by_its_row:
            outcome = await claim_at_once(self.connection, delivery, new=new, stale=stale)
            if outcome is not None:
                return ClaimResult.STALE if outcome == stale and stale != new else ClaimResult.NEW
        return await delivery.claim(self.session(), new=new, stale=stale)

    async def write(self, writes: Writes, outcome: InboxOutcome) -> None:
        """Execute the handler's statements; the event is claimed already."""
        await write(self.connection, writes, outcome)

    async def commit(self) -> None:
        """Commit. Raises TransactionEnded or TransactionFailed if the handler left no transaction to commit."""
        if self._session is not None:
            begun = self._session.sync_session.get_transaction()
            if begun is None or begun is not self._begun or not begun.is_active:
                raise TransactionEnded
            if self._is_used(self._session):
                await self._session.commit()
        if not self.connection.is_in_transaction():
            raise TransactionEnded
        if await self.connection.execute("COMMIT") != "COMMIT":
            raise TransactionFailed

    async def rollback(self) -> None:
        """Roll back whatever is left of the transaction."""
        if self._session is not None and self._is_used(self._session):
            await self._session.close()
        if self.connection.is_in_transaction():
            await self.connection.execute("ROLLBACK")

    def _is_used(self, session: AsyncSession) -> bool:
        """Whether anything was executed through the session, or is to be flushed. Its commit is not cheap."""
        return self.pooled.connection.in_transaction() or bool(session.new or session.dirty or session.deleted)
