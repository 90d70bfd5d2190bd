"""The state of confirmation that all relays share: probes, the last confirmation, a broken publish check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from event_trio.database.connections import Pool, transaction

# All times are by the clock of the database, because relays and their clocks differ.
STATE = """
-- state: the last confirmation, and the results of the probes
SELECT c.confirmed_sent_at, clock_timestamp() AS now, cardinality(c.probes) AS probes,
       extract(epoch FROM clock_timestamp() - c.confirmed_at)::float8 AS since_confirmation,
       extract(epoch FROM clock_timestamp() - c.probed_at)::float8 AS since_probes,
       c.paused_at IS NOT NULL OR EXISTS (
           SELECT FROM outbox_replay r WHERE r.finished_at IS NULL AND r.criteria - 'unsent' = '{}'
       ) AS stopped,
       extract(epoch FROM clock_timestamp() - c.check_broken_at)::float8 AS since_broken,
       p.outstanding, p.returned, p.oldest_outstanding
FROM outbox_control c CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.published_at IS NULL) AS outstanding,
           count(*) FILTER (WHERE e.published_at IS NOT NULL) AS returned,
           extract(epoch FROM clock_timestamp() - min(e.sent_at) FILTER (WHERE e.published_at IS NULL))::float8
               AS oldest_outstanding
    FROM outbox_event e WHERE e.event_id = ANY (c.probes)
) AS p
"""

KEEP_PROBES = """
-- keep_probes: the probes that are outstanding from now on
UPDATE outbox_control SET probes = $1::uuid[], probed_at = CASE WHEN $1 <> '{}' THEN clock_timestamp() END
WHERE probes <> $1
"""

KEEP_BROKEN = """
-- keep_broken: whether the publish check is broken
UPDATE outbox_control SET check_broken_at = CASE WHEN $1::boolean THEN clock_timestamp() END
WHERE (check_broken_at IS NOT NULL) <> $1
"""


@dataclass(frozen=True, slots=True)
class ConfirmationState:
    """The state of confirmation. Durations are in seconds; None means that it never happened."""

    now: datetime
    confirmed_sent_at: datetime | None
    """When the most recently sent of all confirmed events was sent, accurate to about a second."""
    since_confirmation: float | None
    """Since the last confirmation."""
    since_broken: float | None
    """Since the publish check was found broken; None if it works."""
    stopped: bool
    """Whether no events are read at all: the outbox is paused, or everything is being replayed."""
    probes: int
    """How many probes the last round has."""
    since_probes: float | None
    """Since they were chosen."""
    outstanding: int
    """How many of them are unconfirmed; those no longer in the outbox are not counted."""
    returned: int
    """How many of them are confirmed."""
    oldest_outstanding: float | None
    """Since the first outstanding one was sent; None if none was sent."""


class Probes:
    """Reads and stores the state of confirmation. Every call may raise what the database raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def state(self) -> ConfirmationState:
        """Return the current state."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(STATE)
        if row is None:
            raise LookupError("outbox_control has no row: run the migrations")
        return ConfirmationState(**dict(row))

    async def save(self, probes: Sequence[UUID]) -> None:
        """Store which probes are outstanding."""
        async with transaction(self._pool) as connection:
            await connection.execute(KEEP_PROBES, list(probes))

    async def save_broken(self, broken: bool) -> None:
        """Store whether the publish check is broken."""
        async with transaction(self._pool) as connection:
            await connection.execute(KEEP_BROKEN, broken)
