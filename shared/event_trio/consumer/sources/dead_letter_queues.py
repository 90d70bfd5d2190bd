"""Drains the dead-letter queues of SQS into the table of dead letters, so that there is one place to look."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...backoff import Backoff
from ...broker.queue import Message, Queue
from ...errors import BrokerUnavailable, EventTrioError
from ...inbox.states import ClaimResult, DeferredState, Status
from ...lifecycle import pause
from ...signals import Signals
from ..decoders import Decoder, cloud_events, decode
from ..delivery import QueueDelivery, commit_deferred
from ..errors import describe, is_database_failure
from ..metrics import ConsumerMetrics

log = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 60
BROKER_DOWN = Backoff(first=1.0, factor=2.0, cap=60.0, jitter=0.5)


class DeadLetterQueueDrain:
    """A loop for the supervisor, over one dead-letter queue.

    A message is deleted only after its row is committed. One whose event has been processed is only deleted. One that
    cannot be stored stays in the queue and is tried again.
    """

    def __init__(
        self,
        name: str,
        consumer: str,
        queue: Queue,
        sessions: async_sessionmaker[AsyncSession],
        metrics: ConsumerMetrics,
        signals: Signals,
        *,
        reason: str,
        wait_seconds: int,
        idle_seconds: float = 10.0,
        decoder: Decoder = cloud_events,
    ) -> None:
        self.name = name
        self._consumer = consumer
        self._queue = queue
        self._sessions = sessions
        self._metrics = metrics
        self._signals = signals
        self._reason = reason
        self._wait_seconds = wait_seconds
        self._idle_seconds = idle_seconds
        self._decoder = decoder

    async def run(self, stopping: asyncio.Event) -> None:
        """Drain the queue until asked to stop."""
        failures = 0
        while not stopping.is_set():
            try:
                received = await self.drain()
                failures = 0
            except Exception as error:
                if not isinstance(error, BrokerUnavailable) and not is_database_failure(error):
                    raise
                failures += 1
                log.debug(
                    "dead-letter queue not read",
                    action="dead_letter_queue.receive_failed",
                    queue=self._queue.name,
                    error=describe(error),
                )
                await pause(stopping, BROKER_DOWN.delay(failures))
                continue
            if not received:
                await pause(stopping, self._idle_seconds)

    async def drain(self) -> int:
        """Receive once; returns the number of messages."""
        messages = await self._queue.receive(wait_seconds=self._wait_seconds, visibility_seconds=VISIBILITY_SECONDS)
        stored: list[Message] = []
        try:
            for message in messages:
                if await self._is_stored(message):
                    stored.append(message)  # noqa: PERF401 - those before one that fails count too
        finally:
            if stored:
                await self._queue.delete(stored)
        self._signals.emit("dead_letter_queue.drained", queue=self._queue.name, messages=len(stored))
        return len(messages)

    async def _is_stored(self, message: Message) -> bool:
        """Whether its row is committed; raises only when the database fails."""
        try:
            await self._store(message)
        except Exception as error:
            if is_database_failure(error):
                raise
            self._metrics.unstorable.labels(self._reason).inc()
            log.error(
                "a message cannot be stored and stays in its dead-letter queue",
                action="dead_letter_queue.not_stored",
                queue=self._queue.name,
                message_id=message.message_id,
                error=describe(error),
            )
            return False
        return True

    async def _store(self, message: Message) -> None:
        delivery = QueueDelivery.of(message, self._consumer)
        error = f"it was found in {self._queue.name}"
        try:
            delivery.accept(decode(self._decoder, delivery))
        except EventTrioError as malformed:
            error = str(malformed)
        state = DeferredState(Status.DEAD, self._reason, error)
        result = await commit_deferred(self._sessions, delivery, state)
        if result is not ClaimResult.DUPLICATE:
            self._metrics.dead_letters.labels(self._reason).inc()
            log.error(
                "dead letter from the broker",
                action="dead_letter_queue.dead_letter",
                queue=self._queue.name,
                event_id=delivery.event.id,
                reason=self._reason,
                error=error,
            )
