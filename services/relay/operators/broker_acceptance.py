"""Accepts a recreated broker: an operator decides that no further events are replayed to it."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Connection, Pool, transaction
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard

from ..audit_log import Decision, record
from ..jobs.replay_requests import Criteria
from .errors import OperationRefused

log = structlog.get_logger(__name__)

ACCEPT = """
-- accept: take the new broker as the known one
UPDATE outbox_control SET broker = broker_seen, broker_seen = NULL, broker_seen_at = NULL, broker_seen_by = NULL
WHERE broker_seen IS NOT NULL RETURNING broker
"""


async def accept(connection: Connection) -> str | None:
    """Accept the new broker in the caller's transaction; returns its identity, or None if none is waiting."""
    accepted: str | None = await connection.fetchval(ACCEPT)
    return accepted


def implies_acceptance(criteria: Criteria) -> bool:
    """Return whether a replay covers all groups up to now, which decides what is sent to a new broker."""
    return all(part is None for part in (criteria.event_id, criteria.subject, criteria.type, criteria.until))


class BrokerAcceptance:
    """Every call may raise OperationRefused, or what the database raises; then nothing was changed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accept_broker(self, decision: Decision, *, once: IdempotencyGuard[str] = NO_GUARD) -> str:
        """Take the new broker as the known one; returns the time of creation of its publish-check queue."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            accepted = await accept(connection)
            if accepted is None:
                raise OperationRefused("no new broker is waiting to be accepted")
            await record(connection, "accept-broker", decision, details={"broker": accepted})
            await once.keep(connection.fetch, accepted)
        log.warning("new broker accepted", action="operations.accept_broker", actor=decision.actor)
        return accepted
