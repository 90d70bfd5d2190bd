"""Sees events come back from their topic: only then do they count as published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from shared.envelope import Envelope
from shared.errors import BrokerUnavailable, MalformedEnvelope
from shared.lifecycle import pause
from shared.queue import BATCH, Message, Queue
from shared.retry import Backoff
from shared.signals import Signals

from ..metrics import RelayMetrics
from ..publishing.coalescer import Coalescer
from ..publishing.outbox_marks import OutboxMarks

log = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 30
MOST = 500
# Under load confirmations are recorded that often; with `release=confirmed` groups wait for them, so more often.
RECORD_SECONDS = 0.5
HURRIED_SECONDS = 0.02
RETRY = Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5)
PAUSE_SECONDS = 0.2
# While confirmations come in one by one, that long for the next receive to bring several.
GATHER_SECONDS = 0.2


class PublishCheck:
    """Long-polls the publish-check queue and records what it finds, several receives at a time.

    It does not receive while what it has cannot be written: the messages are safer in the queue.
    """

    name = "publish-check"

    def __init__(
        self,
        queue: Queue,
        marks: OutboxMarks,
        *,
        wait_seconds: int,
        hurried: bool,
        metrics: RelayMetrics,
        signals: Signals,
        on_published: Callable[[], None],
        on_trouble: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._marks = marks
        self._wait_seconds = wait_seconds
        self._metrics = metrics
        self._signals = signals
        self._on_published = on_published
        self._on_trouble = on_trouble
        self._hurried = hurried
        self.trouble: str | None = "not asked yet"
        self._confirmer: Coalescer[Message] = Coalescer(
            "publish_check.record",
            self._confirm,
            most=MOST,
            interval=HURRIED_SECONDS if hurried else RECORD_SECONDS,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Confirm until asked to stop; the outstanding receive is let finish, or what it takes would stay hidden."""
        confirmer = asyncio.create_task(self._confirmer.run())
        failures = 0
        try:
            while not stopping.is_set():
                if self._confirmer.full:
                    await pause(stopping, PAUSE_SECONDS)
                    continue
                # While in trouble, and at first, it does not wait for messages: to see early that the queue is there.
                wait = 0 if self.trouble is not None else self._wait_seconds
                try:
                    messages = await self._queue.receive(wait_seconds=wait, visibility_seconds=VISIBILITY_SECONDS)
                except BrokerUnavailable as error:
                    failures += 1
                    if self.trouble != str(error):
                        log.warning("cannot read the publish check", action="publish_check.down", reason=str(error))
                    self.trouble = str(error)
                    self._on_trouble()
                    await pause(stopping, RETRY.delay(failures))
                    continue
                failures, self.trouble = 0, None
                self._confirmer.add(messages)
                if 0 < len(messages) < BATCH and not self._hurried:
                    await pause(stopping, GATHER_SECONDS)
            await self._confirmer.drained()
        finally:
            confirmer.cancel()

    async def _confirm(self, messages: Sequence[Message]) -> None:
        event_ids = [event_id for message in messages if (event_id := self._event_id(message))]
        news = await self._marks.mark_published(event_ids)
        for publication in news:
            self._metrics.published.labels(type=publication.type).inc()
            self._metrics.end_to_end.observe(publication.since_recorded)
            self._metrics.sent_to_published.observe(max(0.0, publication.since_sent))
            self._signals.emit("relay.published", event_id=str(publication.event_id))
        if news:
            self._on_published()
        # Only now: a message deleted before its event is marked would be a confirmation lost.
        try:
            await self._queue.delete(messages)
        except BrokerUnavailable as error:
            log.warning("confirmations come again", action="publish_check.not_deleted", reason=str(error))

    def _event_id(self, message: Message) -> UUID | None:
        try:
            return Envelope.parse(message.body).id
        except MalformedEnvelope as error:
            self._metrics.foreign.inc()
            log.warning(
                "no event of ours on the publish check",
                action="publish_check.foreign",
                message_id=message.message_id,
                reason=str(error),
            )
            return None
