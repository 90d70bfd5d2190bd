"""What all relays know of the way back: which probes are under way, when confirmations came, whether it is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from event_trio.database.connections import Pool, transaction

# The clock of the database throughout: relays come and go, and so do their clocks.
STATE = """
-- state: what is known of the way back, and what became of the probes
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
-- keep_probes: these are under way since now, or none is
UPDATE outbox_control SET probes = $1::uuid[], probed_at = CASE WHEN $1 <> '{}' THEN clock_timestamp() END
WHERE probes <> $1
"""

KEEP_BROKEN = """
-- keep_broken: whether what is sent comes back
UPDATE outbox_control SET check_broken_at = CASE WHEN $1::boolean THEN clock_timestamp() END
WHERE (check_broken_at IS NOT NULL) <> $1
"""


@dataclass(frozen=True, slots=True)
class ConfirmationState:
    """The state of the way back; what is None never happened. Times since are in seconds."""

    now: datetime
    confirmed_sent_at: datetime | None
    """When that was sent which came back, of all that did the one that was sent last (to about a second)."""
    since_confirmation: float | None
    """Since the last confirmation."""
    since_broken: float | None
    """Since the way back was found broken; None when it is not."""
    stopped: bool
    """Whether nothing is read at all: all is paused, or a replay goes first."""
    probes: int
    """How many probes went in the last round."""
    since_probes: float | None
    """Since they were chosen."""
    outstanding: int
    """How many of them did not come back; those that are in the outbox no more do not count."""
    returned: int
    """How many did."""
    oldest_outstanding: float | None
    """Since the first of those that are out was sent; None when none of them was."""


class Probes:
    """Reads and keeps the state of the way back. Every call may raise what the database raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def state(self) -> ConfirmationState:
        """As it is now."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(STATE)
        if row is None:
            raise LookupError("outbox_control has no row: run the migrations")
        return ConfirmationState(**dict(row))

    async def save(self, probes: Sequence[UUID]) -> None:
        """These are under way; or none, when there are none."""
        async with transaction(self._pool) as connection:
            await connection.execute(KEEP_PROBES, list(probes))

    async def save_broken(self, broken: bool) -> None:
        """Whether nothing comes back."""
        async with transaction(self._pool) as connection:
            await connection.execute(KEEP_BROKEN, broken)
