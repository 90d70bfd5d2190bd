"""Finds events that were sent and never came back, and returns them to their lane. It never publishes itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from shared.database import DATABASE_FAULTS, Pool, transaction
from shared.error_text import describe
from shared.lifecycle import pause
from shared.signals import Signals

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

# FIFO deduplication swallows a repeat for at least five minutes (AWS: sns fifo-message-dedup): earlier nothing is lost.
LOST_AFTER_SECONDS = 360.0
# Something sent so much later that is confirmed shows that the check works and the event is lost.
LATER_SECONDS = 60.0
PROBE_SECONDS = 60.0
STEP = 1000
# The relay that owns this lane sweeps; so there is one at a time, mostly, and nothing else to agree upon.
SWEEPING_LANE = 0

OVERDUE = """
-- overdue: when the oldest event that was sent so long ago and is not confirmed was sent
SELECT min(e.sent_at) FROM outbox_event e
WHERE e.published_at IS NULL AND e.held_at IS NULL AND e.sent_at < clock_timestamp() - $1::float8 * interval '1 second'
"""

# Reads the whole table, but only when something is overdue, which is rare.
CONFIRMED = """
-- confirmed: when the last event that is confirmed was sent
SELECT max(e.sent_at) FROM outbox_event e WHERE e.published_at IS NOT NULL
"""

RETURN_LOST = """
-- return_lost: unconfirmed for too long, while something sent well after them is confirmed
UPDATE outbox_event e SET first_sent_at = coalesce(e.first_sent_at, e.sent_at), sent_at = NULL,
    broker_message_id = NULL, republished = e.republished + 1, attempts = 0
WHERE e.id IN (
    SELECT o.id FROM outbox_event o
    WHERE o.published_at IS NULL AND o.held_at IS NULL
      AND o.sent_at < clock_timestamp() - $1::float8 * interval '1 second'
      AND o.sent_at < $2::timestamptz - $3::float8 * interval '1 second'
    ORDER BY o.id LIMIT $4 FOR NO KEY UPDATE
)
RETURNING e.event_id
"""

RETURN_OLDEST = """
-- return_oldest: as a probe, the one that was sent first
UPDATE outbox_event e SET first_sent_at = coalesce(e.first_sent_at, e.sent_at), sent_at = NULL,
    broker_message_id = NULL, republished = e.republished + 1, attempts = 0
WHERE e.id IN (
    SELECT o.id FROM outbox_event o
    WHERE o.published_at IS NULL AND o.held_at IS NULL
      AND o.sent_at < clock_timestamp() - $1::float8 * interval '1 second'
    ORDER BY o.sent_at, o.id LIMIT 1 FOR NO KEY UPDATE
)
RETURNING e.event_id
"""


PROBE_STATE = """
-- probe_state: what became of a probe
SELECT e.sent_at, e.published_at, extract(epoch FROM clock_timestamp() - e.sent_at)::float8 AS age
FROM outbox_event e WHERE e.event_id = $1
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: between sweeps, until an event counts as lost, by which a later one is later, and for a probe."""

    sweep: float = 300.0
    lost_after: float = LOST_AFTER_SECONDS
    later: float = LATER_SECONDS
    probe: float = PROBE_SECONDS


class Sweeper:
    """Tells lost events from a broken check.

    If something sent later came back, what did not is lost and goes again. If nothing did, only the oldest goes
    again, as a probe; as long as no probe comes back the check itself is broken, and nothing but probes is sent.
    """

    name = "sweeper"

    def __init__(
        self,
        pool: Pool,
        patience: Patience,
        *,
        may_sweep: Callable[[int], bool],
        metrics: RelayMetrics,
        signals: Signals,
        on_returned: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._patience = patience
        self._may_sweep = may_sweep
        self._metrics = metrics
        self._signals = signals
        self._on_returned = on_returned
        self._probe_id: UUID | None = None
        self.trouble: str | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep now and then until asked to stop; sooner while a probe is under way."""
        while not stopping.is_set():
            if self._may_sweep(SWEEPING_LANE):
                try:
                    await self.sweep()
                except DATABASE_FAULTS as error:
                    log.warning("cannot sweep", action="sweeper.failed", error=describe(error))
            await pause(stopping, self._patience.probe if self._probe_id else self._patience.sweep)

    async def sweep(self) -> int:
        """One sweep; returns how many events went back to their lane."""
        async with transaction(self._pool) as connection:
            overdue: datetime | None = await connection.fetchval(OVERDUE, self._patience.lost_after)
            confirmed: datetime | None = None
            if overdue or self._probe_id:
                confirmed = await connection.fetchval(CONFIRMED)
            probe = await connection.fetchrow(PROBE_STATE, self._probe_id) if self._probe_id else None
        under_way = self._judge_probe(probe, confirmed)
        returned = 0
        if overdue and confirmed and (confirmed - overdue).total_seconds() >= self._patience.later:
            returned = await self._return_lost(confirmed)
        elif overdue and not under_way:
            returned = await self._send_probe()
        self._signals.emit("sweeper.swept", returned=returned)
        return returned

    def _judge_probe(self, probe: asyncpg.Record | None, confirmed: datetime | None) -> bool:
        """Whether a probe is still under way; says so when it did not come back in time."""
        if probe is None or probe["published_at"] or (confirmed and probe["sent_at"] and confirmed > probe["sent_at"]):
            self._probe_id = None
            self._set_trouble(None)
            return False
        if probe["sent_at"] is None or probe["age"] < self._patience.probe:
            return True
        self._set_trouble("the publish check is broken: what is sent does not come back")
        return False

    async def _return_lost(self, confirmed: datetime) -> int:
        patience = self._patience
        returned = 0
        while True:
            async with transaction(self._pool) as connection:
                rows = await connection.fetch(RETURN_LOST, patience.lost_after, confirmed, patience.later, STEP)
            returned += len(rows)
            self._metrics.republished.labels(reason="lost").inc(len(rows))
            for row in rows:
                log.warning(
                    "event lost by the broker; it goes again", action="sweeper.lost", event_id=str(row["event_id"])
                )
            if len(rows) < STEP:
                break
        if returned:
            self._on_returned()
        return returned

    async def _send_probe(self) -> int:
        async with transaction(self._pool) as connection:
            probe: UUID | None = await connection.fetchval(RETURN_OLDEST, self._patience.lost_after)
        if probe is None:
            return 0
        self._probe_id = probe
        self._metrics.republished.labels(reason="probe").inc()
        log.warning("nothing comes back; one event goes again as a probe", action="sweeper.probe", event_id=str(probe))
        self._on_returned()
        return 1

    def _set_trouble(self, trouble: str | None) -> None:
        if trouble and self.trouble is None:
            log.error(trouble, action="sweeper.check_broken")
        self.trouble = trouble
        self._metrics.check_broken.set(1 if trouble else 0)
