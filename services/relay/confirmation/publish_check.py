"""Reads the publish-check queue: an event counts as published once it is seen there."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import Protocol, TypeAlias

import structlog

from event_trio.backoff import Backoff
from event_trio.broker.source import BATCH, SENT_AT_UNKNOWN, Message, MessageSource
from event_trio.errors import BrokerUnavailable
from event_trio.lifecycle import pause
from event_trio.observability.receiving import received
from event_trio.signals import Signals

from ..metrics import RelayMetrics
from ..publishing.batch_writer import BatchWriter
from ..publishing.outbox_updates import Confirmation, OutboxUpdates, Publication
from .confirmations import ForeignMessage, confirmation
from .deletions import VISIBILITY_SECONDS, Deletions
from .empty_queue import EmptyQueueObservations, is_empty
from .exemplars import slowest_traced

log = structlog.get_logger(__name__)

MOST = 500
KEPT = 5 * MOST
# Under load one statement at this interval, or for `MOST`, records hundreds of confirmations. With `MANY` to record it
# need not wait so long. While one receiver is enough, its confirmations are recorded at once. So are those that a group
# waits for: all of them with `NEXT_EVENT_AFTER=confirmed`, else those of hot groups. With many hot groups one statement
# serves all of them, at nearly forty events a second for each.
RECORD_SECONDS = 0.5
# The end of a burst, in which `MANY` were recorded at once, is recorded when no message came for so long.
QUIET_SECONDS = 0.05
MANY_HOT_SECONDS = 0.25
MANY = 200
MANY_SECONDS = 0.05
RETRY = Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5)
PAUSE_SECONDS = 0.2
# While messages arrive one by one, a pause lets the next receive return several.
GATHER_SECONDS = 0.2
# Concurrent receivers while the queue is full, and how long the additional ones wait for a message.
RECEIVERS = 16
EXTRA_WAIT_SECONDS = 1
# A longer body is not kept in memory until its confirmation is recorded.
KEPT_CHARACTERS = 4096


_Received: TypeAlias = tuple[Message, Confirmation | None]
"""A message and what it confirms; None for a foreign message."""


class UnrecordedAcknowledgements(Protocol):
    """The acknowledgements of this relay's sends, as the publish check uses them."""

    def completed(self, confirmation: Confirmation, deduplication_id: str) -> Confirmation:
        """Return the confirmation with the acknowledgement of the same send, if that is not recorded yet."""
        ...

    def confirmed(self, news: Mapping[str, Publication]) -> None:
        """Take these events, by deduplication id, for recorded: they became published."""
        ...


class PublishCheck:
    """Long-polls the publish-check queue with several receivers and records the confirmations.

    It does not receive while confirmations cannot be recorded, because the messages are safer in the queue.
    """

    name = "publish-check"

    def __init__(
        self,
        queue: MessageSource,
        updates: OutboxUpdates,
        *,
        wait_seconds: int,
        record_at_once: bool,
        acknowledgements: UnrecordedAcknowledgements,
        metrics: RelayMetrics,
        signals: Signals,
        on_published: Callable[[], None],
        on_trouble: Callable[[], None],
        on_delivered: Callable[[str, datetime], None] | None = None,
        empty_queue: EmptyQueueObservations | None = None,
        counts: Callable[[], Awaitable[dict[str, str]]] | None = None,
    ) -> None:
        """`acknowledgements` are those of this relay's sends.

        `on_delivered` gets the deduplication id of each message, and when the broker put it into the queue.
        `counts` returns the numbers of messages in the queue, where the broker tells them.
        """
        self._queue = queue
        self._updates = updates
        self._acknowledgements = acknowledgements
        self._wait_seconds = wait_seconds
        self._metrics = metrics
        self._signals = signals
        self._on_published = on_published
        self._on_trouble = on_trouble
        self._on_delivered = on_delivered
        self._record_at_once = record_at_once
        self._empty_queue = empty_queue
        self._counts = counts
        self.trouble: str | None = "not asked yet"
        self._deletions = Deletions(queue)
        self._extra: set[asyncio.Task[None]] = set()
        self._unrecorded = 0
        self._burst_until = 0.0
        self._confirmer: BatchWriter[_Received] = BatchWriter(
            "publish_check.record",
            self._confirm,
            most=MOST,
            kept=KEPT,
            quiet=lambda: QUIET_SECONDS if time.monotonic() < self._burst_until else inf,
            interval=RECORD_SECONDS,
            shortest=self._shortest,
            hurry=self._hurry,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Confirm until asked to stop. Receives in progress finish first, or their messages would stay invisible."""
        confirmer = asyncio.create_task(self._confirmer.run())
        failures = 0
        try:
            while not stopping.is_set():
                if self._full:
                    await pause(stopping, PAUSE_SECONDS)
                    continue
                # At startup and after a failure it does not wait for messages, to learn early that the queue works.
                wait = 0 if self.trouble is not None else self._wait_seconds
                try:
                    messages = await self._receive(wait)
                except BrokerUnavailable as error:
                    failures += 1
                    if self.trouble != str(error):
                        log.warning(
                            "cannot read the publish check", action="publish_check.unavailable", reason=str(error)
                        )
                    self.trouble = str(error)
                    self._on_trouble()
                    await pause(stopping, RETRY.delay(failures))
                    continue
                failures, self.trouble = 0, None
                if len(messages) == BATCH:
                    self._start_extra(stopping)
                elif messages and not self._waited_for:
                    await pause(stopping, GATHER_SECONDS)
            await asyncio.gather(*self._extra)
            await self._confirmer.drained()
            await self._deletions.drained()
        finally:
            confirmer.cancel()
            self._deletions.cancel()
            for task in self._extra:
                task.cancel()

    @property
    def _full(self) -> bool:
        return self._confirmer.full or self._deletions.in_hand >= KEPT

    @property
    def _waited_for(self) -> bool:
        """Whether groups wait for confirmations, or for the deletes that follow."""
        return self._record_at_once or self._deletions.hot

    def _hurry(self) -> bool:
        return self._waited_for or not self._extra or self._unrecorded >= MANY

    def _shortest(self) -> float:
        """The least time between two writes while `_hurry` returns true."""
        if self._record_at_once:
            return 0.0
        if self._unrecorded >= MANY:
            return MANY_SECONDS
        return MANY_HOT_SECONDS if self._deletions.many_hot else 0.0

    async def _receive(self, wait_seconds: int) -> list[Message]:
        began, idle = time.monotonic(), not self._deletions.in_hand
        messages = await self._queue.receive(wait_seconds=wait_seconds, visibility_seconds=VISIBILITY_SECONDS)
        if messages:
            received(self._queue.system, self._queue.name, messages, time.monotonic() - began)
        if self._on_delivered is not None:
            for message in messages:
                if message.sent_at is not SENT_AT_UNKNOWN:
                    self._on_delivered(message.deduplication_id, message.sent_at)
        self._deletions.received(messages)
        self._unrecorded += len(messages)
        self._confirmer.add([self._read(message) for message in messages])
        if not messages and wait_seconds and idle and not self._deletions.in_hand:
            await self._observe_empty_queue(began)
        return messages

    def _start_extra(self, stopping: asyncio.Event) -> None:
        if stopping.is_set() or len(self._extra) >= RECEIVERS - 1:
            return
        task = asyncio.create_task(self._receive_extra(stopping))
        self._extra.add(task)
        task.add_done_callback(self._extra.discard)

    async def _receive_extra(self, stopping: asyncio.Event) -> None:
        """Receive repeatedly while the queue is full."""
        try:
            while not stopping.is_set() and not self._full:
                if len(await self._receive(EXTRA_WAIT_SECONDS)) < BATCH:
                    return
                self._start_extra(stopping)
        except BrokerUnavailable:
            # The first receiver reports the same failure.
            return

    async def _observe_empty_queue(self, began: float) -> None:
        if self._empty_queue is None or self._counts is None or not self._empty_queue.wanted(began):
            return
        if is_empty(await self._counts()) and not self._deletions.in_hand:
            self._empty_queue.observe(began)

    async def _confirm(self, messages: Sequence[_Received]) -> None:
        sends = {each.deduplication_id: found for each, found in messages if found is not None}
        complete = self._acknowledgements.completed
        confirmations = [complete(found, send) for send, found in sends.items()]
        news = await self._updates.mark_published(confirmations) if confirmations else []
        published = {publication.event_id: publication for publication in news}
        self._acknowledgements.confirmed(
            {send: published[found.event_id] for send, found in sends.items() if found.event_id in published}
        )
        self._unrecorded -= len(messages)
        if len(messages) >= MANY:
            self._burst_until = time.monotonic() + RECORD_SECONDS
        self._metrics.end_to_end.observe_all(publication.since_recorded for publication in news)
        self._metrics.sent_to_published.observe_all(max(0.0, publication.since_sent) for publication in news)
        if (traced := slowest_traced(news, messages)) is not None:
            slowest, exemplar = traced
            self._metrics.end_to_end.lead(slowest.since_recorded, exemplar)
            self._metrics.sent_to_published.lead(max(0.0, slowest.since_sent), exemplar)
        for publication in news:
            self._signals.emit("relay.published", event_id=str(publication.event_id))
        for event_type, count in Counter(publication.type for publication in news).items():
            self._metrics.published.labels(type=event_type).inc(count)
        if news:
            self._on_published()
        # Deleted after the events are marked; a message deleted earlier would be a lost confirmation.
        self._deletions.delete([message for message, _ in messages])

    def _read(self, message: Message) -> _Received:
        try:
            found = confirmation(message)
        except ForeignMessage as error:
            self._metrics.foreign.inc()
            log.warning(
                "foreign message on the publish check",
                action="publish_check.foreign",
                message_id=message.message_id,
                reason=str(error),
            )
            found = None
        # Thousands of messages may wait for the database.
        return (replace(message, body="") if len(message.body) > KEPT_CHARACTERS else message), found
