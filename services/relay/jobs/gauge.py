"""Measures the backlog now and then, for the figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, transaction
from event_trio.lifecycle import pause

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
# A backlog of millions is not counted to its end every few seconds: only so many of the oldest are.
MOST = 10_000

MEASURE = """
-- measure: of what is not published, the oldest up to a bound: how much waits, since when, and how much is unconfirmed
SELECT count(*) FILTER (WHERE e.sent_at IS NULL) AS pending,
       count(*) FILTER (WHERE e.sent_at IS NOT NULL) AS unconfirmed,
       extract(epoch FROM clock_timestamp() - min(e.recorded_at) FILTER (WHERE e.sent_at IS NULL))::float8 AS age
FROM (
    SELECT sent_at, recorded_at FROM outbox_event WHERE published_at IS NULL AND held_at IS NULL AND id > 0
    ORDER BY recorded_at LIMIT $1
) AS e
"""


class BacklogGauge:
    """Keeps the gauges of the outbox fresh."""

    name = "gauge"

    def __init__(self, pool: Pool, metrics: RelayMetrics, *, lanes: Callable[[], int]) -> None:
        self._pool = pool
        self._metrics = metrics
        self._lanes = lanes

    async def run(self, stopping: asyncio.Event) -> None:
        """Measure until asked to stop."""
        while not stopping.is_set():
            self._metrics.lanes.set(self._lanes())
            try:
                async with transaction(self._pool) as connection:
                    row = await connection.fetchrow(MEASURE, MOST)
            except DATABASE_FAULTS as error:
                log.warning("cannot measure the backlog", action="gauge.failed", error=type(error).__name__)
            else:
                if row is not None:
                    self._metrics.pending.set(row["pending"])
                    self._metrics.unconfirmed.set(row["unconfirmed"])
                    self._metrics.oldest.set(row["age"] or 0.0)
            await pause(stopping, EVERY_SECONDS)
