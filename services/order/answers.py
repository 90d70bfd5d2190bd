"""All SQL of the answers that are kept under the keys of their requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from shared.http.idempotency import WAIT_SECONDS, Answer, Attempt, KeyInUse, KeyReused, Repeated

from .tables import IdempotencyKeyRow

# https://www.postgresql.org/docs/current/errcodes-appendix.html
LOCK_NOT_AVAILABLE = "55P03"

# `now()`, not `clock_timestamp()`: only what stands still during a statement can be looked up in an index.
PRUNE = """
-- prune: the oldest of the answers whose keys have expired
DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_key
    WHERE created_at < now() - CAST(:hours AS float8) * interval '1 hour'
    ORDER BY created_at LIMIT CAST(:limit AS bigint)
))
"""


class AnswerRepository:
    """Answers under the keys of their requests, within the caller's transaction. It never commits.

    An answer is kept for `hours`; after that its key is free.
    """

    def __init__(self, session: AsyncSession, *, hours: float) -> None:
        self._session = session
        self._hours = hours

    async def claim(self, attempt: Attempt) -> None:
        """Let nobody else answer under this key until the transaction ends.

        Raises Repeated when it was answered before, KeyReused when that was another request, and KeyInUse when
        somebody else took longer than `WAIT_SECONDS` over it.
        """
        name = func.hashtextextended(f"{attempt.principal} {attempt.key}", 0)
        patience = func.set_config("lock_timeout", f"{WAIT_SECONDS:g}s", True)
        try:
            await self._session.execute(select(patience, func.pg_advisory_xact_lock(name)))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise KeyInUse from None
            raise
        row = IdempotencyKeyRow
        mine = (col(row.principal) == attempt.principal, col(row.key) == attempt.key)
        expired = col(row.created_at) < func.now() - timedelta(hours=self._hours)
        columns = (col(row.fingerprint), col(row.status), col(row.headers), col(row.body), expired)
        found = (await self._session.execute(select(*columns).where(*mine))).first()
        if found is None:
            return
        fingerprint, status, headers, body, is_expired = found
        if is_expired:
            await self._session.execute(delete(row).where(*mine))
        elif fingerprint != attempt.fingerprint:
            raise KeyReused
        else:
            raise Repeated(Answer(status, headers, body))

    async def keep(self, attempt: Attempt, answer: Answer) -> None:
        """Keep the answer, if the transaction is committed."""
        await self._session.execute(
            insert(IdempotencyKeyRow).values(
                principal=attempt.principal,
                key=attempt.key,
                fingerprint=attempt.fingerprint,
                status=answer.status,
                headers=dict(answer.headers),
                body=answer.body,
                created_at=func.clock_timestamp(),
            )
        )

    async def prune(self, limit: int) -> int:
        """Forget the oldest of the expired; returns how many."""
        result = await self._session.execute(text(PRUNE), {"hours": self._hours, "limit": limit})
        return cast("CursorResult[Any]", result).rowcount
