"""Keeps messages in flight: a heartbeat that extends the visibility of the messages in memory, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from ...broker.source import BATCH, MessageSource, RejectedMessage
from ...clock import Clock
from ...errors import BrokerUnavailable
from ..delivery import QueueDelivery
from ..metrics import ConsumerMetrics

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Concurrent calls: with a slow broker the last of many messages must not be too late."""
SAFETY_SECONDS = 1.0
"""A message counts as expired this much before its visibility ends, because calls take time."""


class Heartbeat:
    """Extends the visibility of deliveries.

    It keeps no list of its own, so it cannot extend a message that nobody handles. A delivery whose task has ended, or
    that has been kept longer than `limit` seconds, is left to expire.
    """

    def __init__(
        self, queue: MessageSource, metrics: ConsumerMetrics, clock: Clock, *, seconds: int, limit: float
    ) -> None:
        if seconds <= 3 * SAFETY_SECONDS:
            raise ValueError(f"a visibility of {seconds} s leaves no time to extend it")
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._seconds = seconds
        self._limit = limit

    @property
    def interval(self) -> float:
        """Seconds between two beats: two may fail before a message expires."""
        return self._seconds / 3

    def visible_at(self, asked_at: float) -> float:
        """Until when a message is certainly invisible, if the broker was asked at that time."""
        return asked_at + self._seconds - SAFETY_SECONDS

    def due(self, deliveries: Iterable[QueueDelivery]) -> list[QueueDelivery]:
        """Those that would expire before the beat after the next."""
        now = self._clock.monotonic()
        return [
            delivery
            for delivery in deliveries
            if not delivery.is_expired(now)
            and delivery.visible_at - now < 2 * self.interval
            and now - delivery.received_at < self._limit
            and (delivery.task is None or not delivery.task.done())
        ]

    async def beat(self, deliveries: Iterable[QueueDelivery]) -> None:
        """Extend the deliveries that are due, batch by batch.

        A message whose receipt handle is invalid has expired. Any other failure of the broker is only logged.
        """
        due = self.due(deliveries)
        for start in range(0, len(due), BATCH * AT_ONCE):
            batches = [due[at : at + BATCH] for at in range(start, min(start + BATCH * AT_ONCE, len(due)), BATCH)]
            await asyncio.gather(*(self._extend(batch) for batch in batches))

    async def _extend(self, batch: Sequence[QueueDelivery]) -> None:
        asked_at = self._clock.monotonic()
        by_handle = {delivery.message.receipt_handle: delivery for delivery in batch}
        try:
            refused = await self._queue.extend([delivery.message for delivery in batch], self._seconds)
        except BrokerUnavailable as error:
            self._failed(str(error), len(batch))
            return
        transient = {
            message.receipt_handle
            for message in refused
            if isinstance(message, RejectedMessage) and not message.is_stale
        }
        if transient:
            self._failed("refused for now", len(transient))
        expired = {message.receipt_handle for message in refused} - transient
        for handle, delivery in by_handle.items():
            # Otherwise it was received again meanwhile, or the failure says nothing about it.
            if delivery.message.receipt_handle != handle or handle in transient:
                continue
            delivery.visible_at = asked_at if handle in expired else self.visible_at(asked_at)
            if handle in expired:
                self._metrics.failed_calls.labels("extend").inc()
                log.warning(
                    "visibility expired",
                    action="consumer.visibility_expired",
                    message_id=delivery.message.message_id,
                    error="refused",
                )

    def _failed(self, error: str, messages: int) -> None:
        self._metrics.failed_calls.labels("extend").inc()
        log.warning("visibility not extended", action="consumer.extend_failed", error=error, messages=messages)
