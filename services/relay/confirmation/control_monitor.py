"""Reads what the relays of an outbox know together: whether the publish check is broken, whether the broker is new."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

LOOK = """
-- look: what is known of the broker and of the publish check
SELECT check_broken_at, broker_seen, broker_seen_at, broker_seen_by FROM outbox_control
"""


class ControlMonitor:
    """Reports what any relay has found out, for the readiness checks and the metrics of every relay.

    The result is in a row of the database, so it outlives the relay that made them.
    """

    name = "control-monitor"
    rest_seconds = 10.0
    busy_seconds = 0.0

    def __init__(self, pool: Pool, metrics: RelayMetrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self.check: str | None = None
        """Why the publish check is not usable, or None."""
        self.broker: str | None = None
        """That a recreated broker waits for an operator's decision, or None."""

    async def step(self) -> bool:
        """Read the row once."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(LOOK)
        if row is None:
            return False
        broken, seen = row["check_broken_at"], row["broker_seen_at"]
        self.check = f"the publish check is broken since {broken:%Y-%m-%d %H:%M:%S}Z" if broken else None
        self.broker = (
            f"the publish-check queue was recreated, seen at {seen:%Y-%m-%d %H:%M:%S}Z: "
            "decide what is replayed (replay --since), or accept the new broker (accept-broker)"
            if seen
            else None
        )
        self._metrics.check_broken.set(1 if broken else 0)
        self._metrics.broker_unaccepted.set(1 if seen else 0)
        return False

    def log_failure(self, error: BaseException) -> None:
        """Log a step that failed."""
        log.warning("cannot read outbox_control", action="control_monitor.failed", error=describe(error))
