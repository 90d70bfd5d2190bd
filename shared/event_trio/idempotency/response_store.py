"""The table of stored responses, by idempotency key: all of its SQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ..database.faults import lock_not_available
from ..keyed_semaphore import KeyedSemaphore, KeyedSemaphoreTimeout
from .keyed_request import AlreadyAnswered, KeyedRequest, KeyInUse, KeyReused, StoredResponse
from .transactions import Fetch

if TYPE_CHECKING:
    from .metrics import IdempotencyMetrics

log = structlog.get_logger(__name__)

WAIT_SECONDS = 5.0
"""How long a request waits for another one with the same key."""
_WAIT = f"{WAIT_SECONDS:g}s"

LOCK = """
-- lock: let no other request use the key until the transaction ends
SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock(hashtextextended($2, 0))
"""

# Headers are passed as text: a session's connection has a JSON codec, a plain asyncpg connection has none.
FIND = """
-- find: the response stored for a key, and whether the key has expired
SELECT fingerprint, status, headers::text, body, created_at < now() - $3::float8 * interval '1 hour'
FROM {table} WHERE principal = $1 AND key = $2
"""

# For a statement that makes the change as well. A request with the key that is processed at the same time is waited for
# as in LOCK; the row that it leaves conflicts, although this statement's snapshot is older.
CLAIM = """
INSERT INTO {table} (principal, key, fingerprint, status, headers, body, created_at)
SELECT ${0}::text, ${1}::text, ${2}::bytea, ${3}::integer, ${4}::text::jsonb, ${5}::bytea, clock_timestamp()
FROM (SELECT set_config('lock_timeout', ${6}, true), pg_advisory_xact_lock(hashtextextended(${7}, 0))) AS locked
ON CONFLICT (principal, key) DO NOTHING
RETURNING 1
"""
CLAIM_ARGUMENTS = 8

IS_LOCKED = """
-- is locked: whether another request holds the key
SELECT NOT pg_try_advisory_xact_lock(hashtextextended($1, 0))
"""

FREE = """
-- free: delete the response of a key
DELETE FROM {table} WHERE principal = $1 AND key = $2
"""

KEEP = """
-- keep: store the response to a request
INSERT INTO {table} (principal, key, fingerprint, status, headers, body, created_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, clock_timestamp())
"""

# `now()`, not `clock_timestamp()`: only a value that is stable during a statement can be looked up in an index.
PRUNE = """
-- prune: delete the oldest responses whose keys have expired
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE created_at < now() - $1::float8 * interval '1 hour' ORDER BY created_at LIMIT $2
)) RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class ClaimClause:
    """A query that returns a row if the change is to be made, and its arguments."""

    query: str
    arguments: tuple[object, ...] = ()


class ResponseStore:
    """Responses by idempotency key, within the caller's transaction. It never commits.

    A response is stored for `hours`; after that its key may be used again.
    """

    def __init__(self, table: str, *, hours: float, metrics: IdempotencyMetrics) -> None:
        self._find, self._free, self._keep, self._prune = (
            statement.format(table=table) for statement in (FIND, FREE, KEEP, PRUNE)
        )
        self._table = table
        self._claims: dict[int, str] = {}
        self._hours = hours
        self._metrics = metrics
        self._waiting = KeyedSemaphore()

    @asynccontextmanager
    async def queued(self, request: KeyedRequest) -> AsyncIterator[None]:
        """Wait for requests of this process with the same key, before taking a connection; raises KeyInUse."""
        async with AsyncExitStack() as stack:
            try:
                key = (request.principal, request.key)
                await stack.enter_async_context(self._waiting.acquire(key, seconds=WAIT_SECONDS))
            except KeyedSemaphoreTimeout:
                raise KeyInUse from None
            yield

    async def claim(self, fetch: Fetch, request: KeyedRequest) -> None:
        """Lock the key until the transaction ends.

        Raises AlreadyAnswered when the request was answered before, KeyReused when the key belongs to a different
        request, and KeyInUse when another request holds the key for longer than `WAIT_SECONDS`.
        """
        try:
            await fetch(LOCK, _WAIT, _lock_name(request))
        except Exception as error:
            if lock_not_available(error):
                raise KeyInUse from None
            raise
        if await self.find(fetch, request):
            await fetch(self._free, request.principal, request.key)

    async def find(self, fetch: Fetch, request: KeyedRequest) -> bool:
        """Whether the key has expired; False if nothing is stored for it. Raises AlreadyAnswered and KeyReused."""
        for fingerprint, status, headers, body, is_expired in await fetch(
            self._find, request.principal, request.key, self._hours
        ):
            if is_expired:
                return True
            if fingerprint != request.fingerprint:
                raise KeyReused
            self._metrics.repeated.inc()
            log.info("stored response returned", action="idempotency.replayed")
            raise AlreadyAnswered(StoredResponse(status, json.loads(headers), body))
        return False

    def claiming(self, request: KeyedRequest, response: StoredResponse, first: int) -> ClaimClause:
        """What `claim` and `keep` do, as a clause of the statement that makes the change."""
        clause = self._claims.get(first)
        if clause is None:
            numbers = range(first, first + CLAIM_ARGUMENTS)
            clause = self._claims[first] = CLAIM.format(*numbers, table=self._table)
        stored = (request.fingerprint, response.status, json.dumps(dict(response.headers)), response.body)
        return ClaimClause(clause, (request.principal, request.key, *stored, _WAIT, _lock_name(request)))

    async def ensure_not_in_use(self, fetch: Fetch, request: KeyedRequest) -> None:
        """Raise KeyInUse if another request holds the key."""
        [(locked,)] = await fetch(IS_LOCKED, _lock_name(request))
        if locked:
            raise KeyInUse

    async def keep(self, fetch: Fetch, request: KeyedRequest, response: StoredResponse) -> None:
        """Store the response. It becomes visible when the transaction is committed."""
        headers = json.dumps(dict(response.headers))
        named = (request.principal, request.key, request.fingerprint)
        await fetch(self._keep, *named, response.status, headers, response.body)

    async def amend(self, fetch: Fetch, request: KeyedRequest, response: StoredResponse) -> None:
        """Replace the stored response."""
        await fetch(self._free, request.principal, request.key)
        await self.keep(fetch, request, response)

    async def prune(self, fetch: Fetch, limit: int) -> int:
        """Delete up to `limit` expired responses, oldest first; returns how many."""
        pruned = len(await fetch(self._prune, self._hours, limit))
        self._metrics.pruned.inc(pruned)
        return pruned


def _lock_name(request: KeyedRequest) -> str:
    return f"{request.principal} {request.key}"
