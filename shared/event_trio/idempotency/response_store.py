"""All SQL of the answers that are kept under the keys of their requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError

from ..database.faults import lock_not_available
from ..keyed_semaphore import KeyedSemaphore, KeyedSemaphoreTimeout
from .keyed_request import AlreadyAnswered, KeyedRequest, KeyInUse, KeyReused, StoredResponse
from .metrics import IdempotencyMetrics
from .transactions import Fetch

log = structlog.get_logger(__name__)

WAIT_SECONDS = 5.0
"""How long a request waits for the answer to another one under its key."""

LOCK = """
-- lock: let nobody else answer under a key until the transaction ends
SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock(hashtextextended($2, 0))
"""

# Headers go in and out as text: a session's connection has a codec for JSON, a bare one has none.
FIND = """
-- find: the answer under a key, and whether the key has expired
SELECT fingerprint, status, headers::text, body, created_at < now() - $3::float8 * interval '1 hour'
FROM {table} WHERE principal = $1 AND key = $2
"""

FREE = """
-- free: forget the answer under a key that has expired
DELETE FROM {table} WHERE principal = $1 AND key = $2
"""

KEEP = """
-- keep: the answer to a request
INSERT INTO {table} (principal, key, fingerprint, status, headers, body, created_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, clock_timestamp())
"""

# `now()`, not `clock_timestamp()`: only what stands still during a statement can be looked up in an index.
PRUNE = """
-- prune: the oldest of the answers whose keys have expired
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE created_at < now() - $1::float8 * interval '1 hour' ORDER BY created_at LIMIT $2
)) RETURNING 1
"""


class ResponseStore:
    """Answers in a table, under the keys of their requests, within the caller's transaction. It never commits.

    An answer is kept for `hours`; after that its key is free.
    """

    def __init__(self, table: str, *, hours: float, metrics: IdempotencyMetrics) -> None:
        self._find, self._free, self._keep, self._prune = (
            statement.format(table=table) for statement in (FIND, FREE, KEEP, PRUNE)
        )
        self._hours = hours
        self._metrics = metrics
        self._turns = KeyedSemaphore()

    @asynccontextmanager
    async def turn(self, attempt: KeyedRequest) -> AsyncIterator[None]:
        """Wait here for requests under the same key, before one takes a connection; raises KeyInUse as `claim` does."""
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(
                    self._turns.acquire((attempt.principal, attempt.key), seconds=WAIT_SECONDS)
                )
            except KeyedSemaphoreTimeout:
                raise KeyInUse from None
            yield

    async def claim(self, fetch: Fetch, attempt: KeyedRequest) -> None:
        """Let nobody else answer under this key until the transaction ends.

        Raises AlreadyAnswered when it was answered before, KeyReused when that was another request, and KeyInUse when
        somebody else took longer than `WAIT_SECONDS` over it.
        """
        try:
            await fetch(LOCK, f"{WAIT_SECONDS:g}s", f"{attempt.principal} {attempt.key}")
        except (DBAPIError, asyncpg.PostgresError) as error:
            if lock_not_available(error):
                raise KeyInUse from None
            raise
        for fingerprint, status, headers, body, is_expired in await fetch(
            self._find, attempt.principal, attempt.key, self._hours
        ):
            if is_expired:
                await fetch(self._free, attempt.principal, attempt.key)
            elif fingerprint != attempt.fingerprint:
                raise KeyReused
            else:
                self._metrics.repeated.inc()
                log.info("request repeated", action="idempotency.repeated")
                raise AlreadyAnswered(StoredResponse(status, json.loads(headers), body))

    async def keep(self, fetch: Fetch, attempt: KeyedRequest, answer: StoredResponse) -> None:
        """Keep the answer, if the transaction is committed."""
        headers = json.dumps(dict(answer.headers))
        whose = (attempt.principal, attempt.key, attempt.fingerprint)
        await fetch(self._keep, *whose, answer.status, headers, answer.body)

    async def amend(self, fetch: Fetch, attempt: KeyedRequest, answer: StoredResponse) -> None:
        """Keep another answer in the place of the one before, if the transaction is committed."""
        await fetch(self._free, attempt.principal, attempt.key)
        await self.keep(fetch, attempt, answer)

    async def prune(self, fetch: Fetch, limit: int) -> int:
        """Forget up to `limit` of the expired, the oldest first; returns how many."""
        pruned = len(await fetch(self._prune, self._hours, limit))
        self._metrics.pruned.inc(pruned)
        return pruned
