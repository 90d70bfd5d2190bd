"""Keeps messages in flight while they are in hand: a heartbeat over what the consumer really holds, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from ...broker.queue import BATCH, Queue, RejectedMessage
from ...clock import Clock
from ...errors import BrokerUnavailable
from ..metrics import ConsumerMetrics
from .delivery import Delivery

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Calls side by side: with a broker that is slow the last message of many must not be too late."""
SAFETY_SECONDS = 1.0
"""A message counts as lost this much before its visibility ends, for clocks and calls take time."""


class Heartbeat:
    """Extends the visibility of deliveries.

    It keeps no list of its own: it is given what is in hand, so nothing can be extended that nobody works on. A
    delivery whose task has ended, or that has been held longer than `limit` seconds, is left to expire.
    """

    def __init__(self, queue: Queue, metrics: ConsumerMetrics, clock: Clock, *, seconds: int, limit: float) -> None:
        if seconds <= 3 * SAFETY_SECONDS:
            raise ValueError(f"a visibility of {seconds} s leaves no time to extend it")
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._seconds = seconds
        self._limit = limit

    @property
    def interval(self) -> float:
        """Seconds between two beats: two may fail before a message is lost."""
        return self._seconds / 3

    def visible_at(self, asked_at: float) -> float:
        """Until when a message is surely invisible, if the broker was asked at that time."""
        return asked_at + self._seconds - SAFETY_SECONDS

    def due(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Those that would be lost before the beat after the next."""
        now = self._clock.monotonic()
        return [
            delivery
            for delivery in deliveries
            if not delivery.is_lost(now)
            and delivery.visible_at - now < 2 * self.interval
            and now - delivery.received_at < self._limit
            and (delivery.task is None or not delivery.task.done())
        ]

    async def beat(self, deliveries: Iterable[Delivery]) -> None:
        """Extend what is due, each batch by itself.

        What the broker has given up is lost; a broker that fails, for a batch or a message, is only logged.
        """
        due = self.due(deliveries)
        for start in range(0, len(due), BATCH * AT_ONCE):
            batches = [due[at : at + BATCH] for at in range(start, min(start + BATCH * AT_ONCE, len(due)), BATCH)]
            await asyncio.gather(*(self._extend(batch) for batch in batches))

    async def _extend(self, batch: Sequence[Delivery]) -> None:
        asked_at = self._clock.monotonic()
        by_handle = {delivery.message.receipt_handle: delivery for delivery in batch}
        try:
            refused = await self._queue.extend([delivery.message for delivery in batch], self._seconds)
        except BrokerUnavailable as error:
            self._failed(str(error), len(batch))
            return
        passing = {
            message.receipt_handle
            for message in refused
            if isinstance(message, RejectedMessage) and not message.is_stale
        }
        if passing:
            self._failed("refused for now", len(passing))
        lost = {message.receipt_handle for message in refused} - passing
        for handle, delivery in by_handle.items():
            # Otherwise it was received again meanwhile, or nothing is known.
            if delivery.message.receipt_handle != handle or handle in passing:
                continue
            delivery.visible_at = asked_at if handle in lost else self.visible_at(asked_at)
            if handle in lost:
                self._metrics.failed_calls.labels("extend").inc()
                log.warning(
                    "visibility had ended",
                    action="consumer.visibility_expired",
                    message_id=delivery.message.message_id,
                    error="refused",
                )

    def _failed(self, error: str, messages: int) -> None:
        self._metrics.failed_calls.labels("extend").inc()
        log.warning("visibility not extended", action="consumer.extend_failed", error=error, messages=messages)
