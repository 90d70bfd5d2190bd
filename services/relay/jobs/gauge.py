"""Measures the backlog periodically for the metrics."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

# Counting stops at this many events, so that measuring a backlog of millions stays cheap.
MOST = 10_000

MEASURE = """
-- measure: the oldest unpublished events up to a bound: unsent ones and the age of the oldest, and unconfirmed ones
SELECT count(*) FILTER (WHERE e.sent_at IS NULL) AS pending,
       count(*) FILTER (WHERE e.sent_at IS NOT NULL) AS unconfirmed,
       extract(epoch FROM clock_timestamp() - min(e.recorded_at) FILTER (WHERE e.sent_at IS NULL))::float8 AS age
FROM (
    SELECT sent_at, recorded_at FROM outbox_event WHERE published_at IS NULL AND held_at IS NULL AND id > 0
    ORDER BY recorded_at LIMIT $1
) AS e
"""


class BacklogGauge:
    """Updates the gauges of the outbox."""

    name = "gauge"
    rest_seconds = 5.0
    busy_seconds = 0.0

    def __init__(self, pool: Pool, metrics: RelayMetrics, *, lanes: Callable[[], int]) -> None:
        """`lanes` returns how many lanes this relay owns."""
        self._pool = pool
        self._metrics = metrics
        self._lanes = lanes

    async def step(self) -> bool:
        """Measure once."""
        self._metrics.lanes.set(self._lanes())
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(MEASURE, MOST)
        self._metrics.pending.set(row["pending"])
        self._metrics.unconfirmed.set(row["unconfirmed"])
        self._metrics.oldest.set(row["age"] or 0.0)
        return False

    def log_failure(self, error: BaseException) -> None:
        """Log a measurement that failed."""
        log.warning("cannot measure the backlog", action="gauge.failed", error=describe(error))
