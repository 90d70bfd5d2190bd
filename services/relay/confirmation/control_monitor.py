"""Tells every relay, and its figures, what one of them found out: that the check is broken, that the broker is new."""

from __future__ import annotations

import asyncio

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, transaction
from event_trio.lifecycle import pause

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

EVERY_SECONDS = 10.0

LOOK = """
-- look: what is known of the broker and of the way back from it
SELECT check_broken_at, broker_seen, broker_seen_at, broker_seen_by FROM outbox_control
"""


class ControlMonitor:
    """Reads the row that all relays share; what was found outlives the relay that found it."""

    name = "control-watch"

    def __init__(self, pool: Pool, metrics: RelayMetrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self.check: str | None = None
        self.broker: str | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Look now and then until asked to stop."""
        while not stopping.is_set():
            try:
                await self.look()
            except DATABASE_FAULTS as error:
                log.warning(
                    "cannot look at the outbox's row", action="control_monitor.failed", error=type(error).__name__
                )
            await pause(stopping, EVERY_SECONDS)

    async def look(self) -> None:
        """Look once; raises what the database raises."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(LOOK)
        if row is None:
            return
        broken, seen = row["check_broken_at"], row["broker_seen_at"]
        self.check = f"the publish check is broken since {broken:%Y-%m-%d %H:%M:%S}Z" if broken else None
        self.broker = (
            f"the publish-check queue was made anew, seen at {seen:%Y-%m-%d %H:%M:%S}Z: "
            "decide what goes again (replay --since), or accept it (accept-broker)"
            if seen
            else None
        )
        self._metrics.check_broken.set(1 if broken else 0)
        self._metrics.broker_unaccepted.set(1 if seen else 0)
