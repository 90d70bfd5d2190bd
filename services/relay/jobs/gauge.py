"""Measures the backlog periodically for the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe
from event_trio.observability.runtime_metrics import DatabaseMetrics

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

# Counting stops at this many events, so that measuring a backlog of millions stays cheap.
MOST = 10_000

MEASURE = """
-- measure: unsent, unconfirmed and held events, each up to a bound, and the age of the oldest of each; the clock
SELECT count(e.recorded_at) FILTER (WHERE e.sent_at IS NULL) AS pending,
       count(*) FILTER (WHERE e.sent_at IS NOT NULL) AS unconfirmed,
       extract(epoch FROM clock_timestamp() - min(e.recorded_at) FILTER (WHERE e.sent_at IS NULL))::float8 AS age,
       extract(epoch FROM clock_timestamp() - min(e.sent_at))::float8 AS unconfirmed_age,
       max(held.events) AS held, max(held.age) AS held_age, extract(epoch FROM clock_timestamp())::float8 AS clock
FROM (
    SELECT sent_at, recorded_at FROM outbox_event WHERE published_at IS NULL AND held_at IS NULL AND id > 0
    ORDER BY recorded_at LIMIT $1
) AS e RIGHT JOIN (
    SELECT count(*) AS events, extract(epoch FROM clock_timestamp() - min(h.recorded_at))::float8 AS age
    FROM (SELECT recorded_at FROM outbox_event WHERE held_at IS NOT NULL ORDER BY subject, sequence LIMIT $1) AS h
) AS held ON true
"""


class BacklogGauge:
    """Updates the gauges of the outbox."""

    name = "gauge"
    rest_seconds = 5.0
    busy_seconds = 0.0

    def __init__(
        self, pool: Pool, metrics: RelayMetrics, database_metrics: DatabaseMetrics, *, lanes: Callable[[], int]
    ) -> None:
        """`lanes` returns how many lanes this relay owns."""
        self._pool = pool
        self._metrics = metrics
        self._database_metrics = database_metrics
        self._lanes = lanes

    async def step(self) -> bool:
        """Measure once."""
        self._metrics.lanes.set(self._lanes())
        async with transaction(self._pool) as connection:
            before = time.time()
            row = await connection.fetchrow(MEASURE, MOST)
        self._database_metrics.observe_clock(row["clock"], before, time.time())
        self._metrics.pending.set(row["pending"])
        self._metrics.unconfirmed.set(row["unconfirmed"])
        self._metrics.oldest.set(row["age"] or 0.0)
        self._metrics.oldest_unconfirmed.set(row["unconfirmed_age"] or 0.0)
        self._metrics.held.set(row["held"])
        self._metrics.oldest_held.set(row["held_age"] or 0.0)
        return False

    def log_failure(self, error: BaseException) -> None:
        """Log a measurement that failed."""
        log.warning("cannot measure the backlog", action="gauge.failed", error=describe(error))
