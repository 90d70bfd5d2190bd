"""Empties the dead-letter queues under a queue: what the broker gave up becomes a dead letter like any other."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...backoff import Backoff
from ...broker.queue import Message, Queue
from ...errors import BrokerUnavailable, EventTrioError, MalformedEnvelope
from ...inbox.arrival import Arrival
from ...inbox.deferred import DeferredState, Status
from ...inbox.guard import ClaimResult, Identity
from ...lifecycle import pause
from ...signals import Signals
from ..errors import describe, is_database_failure
from ..metrics import ConsumerMetrics
from ..pipeline.intake import readable

log = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 60
BROKER_DOWN = Backoff(first=1.0, factor=2.0, cap=60.0, jitter=0.5)


class DeadLetterQueueDrain:
    """A loop for the supervisor, over one dead-letter queue.

    A message is deleted only after its row was committed. One that is in the inbox already was settled: it is just
    deleted. One that cannot be stored, whatever is wrong with it, stays in the queue and is tried again.
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

    async def run(self, stopping: asyncio.Event) -> None:
        """Take in what is there until asked to stop."""
        failures = 0
        while not stopping.is_set():
            try:
                taken = await self.take_in()
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
            if not taken:
                await pause(stopping, self._idle_seconds)

    async def take_in(self) -> int:
        """One receive; returns how many messages it brought."""
        messages = await self._queue.receive(wait_seconds=self._wait_seconds, visibility_seconds=VISIBILITY_SECONDS)
        kept: list[Message] = []
        try:
            for message in messages:
                if await self._is_kept(message):
                    kept.append(message)  # noqa: PERF401 - those before one that fails count too
        finally:
            if kept:
                await self._queue.delete(kept)
        self._signals.emit("dead_letter_queue.drained", queue=self._queue.name, messages=len(kept))
        return len(messages)

    async def _is_kept(self, message: Message) -> bool:
        """Whether its row is committed; raises only when the database fails."""
        try:
            await self._keep(message)
        except Exception as error:
            if is_database_failure(error):
                raise
            self._metrics.unstorable.labels(self._reason).inc()
            log.error(
                "a message cannot be stored: it stays in its dead-letter queue",
                action="dead_letter_queue.not_stored",
                queue=self._queue.name,
                message_id=message.message_id,
                error=describe(error),
            )
            return False
        return True

    async def _keep(self, message: Message) -> None:
        body = message.body.encode("utf-8", "backslashreplace")
        group = message.group or message.message_id
        try:
            envelope = readable(body)
            identity = Identity.of(self._consumer, envelope, message_id=message.message_id, group=envelope.partitionkey)
            error: EventTrioError | None = None
        except MalformedEnvelope as malformed:
            identity = Identity.unreadable(self._consumer, message_id=message.message_id, group=group)
            error = malformed
        state = DeferredState(Status.DEAD, self._reason, str(error) if error else f"it was found in {self._queue.name}")
        try:
            result = await self._defer(Arrival(identity, body, message.attributes), state)
        except Exception as raised:
            if is_database_failure(raised):
                raise
            log.warning(
                "dead letter kept without its particulars",
                action="dead_letter_queue.stored_without_metadata",
                error=describe(raised),
            )
            result = await self._defer(Arrival(identity.bare(), body, message.attributes), state)
        if result is not ClaimResult.DUPLICATE:
            self._metrics.dead_letters.labels(self._reason).inc()
            log.error(
                "dead letter from the broker",
                action="dead_letter_queue.dead_letter",
                queue=self._queue.name,
                event_id=identity.event_id,
                reason=self._reason,
                error=state.error,
            )

    async def _defer(self, arrival: Arrival, state: DeferredState) -> ClaimResult:
        async with self._sessions.begin() as session:
            return await arrival.defer(session, state)
