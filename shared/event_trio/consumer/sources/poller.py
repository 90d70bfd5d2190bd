"""Long polls of the queue: one at a time when idle, several when busy, none while messages could not be handled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ...backoff import Backoff
from ...broker.source import BATCH, Message, MessageSource
from ...errors import BrokerUnavailable
from ...lifecycle import pause
from ...observability.receiving import received
from ..database_breaker import DatabaseBreaker
from ..errors import describe
from ..metrics import ConsumerMetrics

log = structlog.get_logger(__name__)

BROKER_DOWN = Backoff(first=0.2, factor=2.0, cap=5.0, jitter=0.5)
BUSY_WAIT_SECONDS = 1
"""How long an additional receiver waits; it serves a backlog only."""


@dataclass(frozen=True, slots=True)
class Polling:
    """How the queue is read."""

    wait_seconds: int = 20
    visibility_seconds: int = 60
    receivers: int = 4


class Poller:
    """Reads the queue while there is room for a whole batch and the database is available.

    A stop cancels no receive, because a cancelled poll can still take messages: `run` returns after the last response.
    """

    def __init__(
        self,
        queue: MessageSource,
        breaker: DatabaseBreaker,
        metrics: ConsumerMetrics,
        polling: Polling,
        *,
        room: Callable[[], int],
        deliver: Callable[[list[Message]], None],
    ) -> None:
        self._queue = queue
        self._breaker = breaker
        self._metrics = metrics
        self._polling = polling
        self._room = room
        self._deliver = deliver
        self._asked = 0
        self._more: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping: asyncio.Event | None = None
        self._trouble: str | None = f"queue {queue.name} has not been read yet"

    @property
    def trouble(self) -> str | None:
        """Why the queue cannot be read, or None."""
        return self._trouble

    def nudge(self) -> None:
        """Check again whether to receive: there is room, the database is available, or it is time to stop."""
        if self._may_receive() or (self._stopping is not None and self._stopping.is_set()):
            self._changed.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive until asked to stop."""
        self._stopping = stopping
        try:
            await self._receive_all(stopping)
            if self._more:
                await asyncio.wait(self._more)
        finally:
            for helper in self._more:
                helper.cancel()

    async def _receive_all(self, stopping: asyncio.Event) -> None:
        failures = 0
        while not stopping.is_set():
            try:
                if self._trouble is not None:
                    await self._queue.url()
                # After a failure it does not wait for messages, to notice early that the queue works again.
                wait = 0 if self._trouble is not None else self._polling.wait_seconds
                full = await self._receive(stopping, wait) == BATCH
            except BrokerUnavailable as error:
                failures += 1
                self._failed(str(error))
                await pause(stopping, BROKER_DOWN.delay(failures))
                continue
            failures = 0
            if full and not stopping.is_set():
                self._start_helper(stopping)

    def _start_helper(self, stopping: asyncio.Event) -> None:
        if len(self._more) < self._polling.receivers - 1:
            helper = asyncio.create_task(self._receive_backlog(stopping))
            self._more.add(helper)
            helper.add_done_callback(self._helper_ended)

    def _helper_ended(self, helper: asyncio.Task[None]) -> None:
        self._more.discard(helper)
        if not helper.cancelled() and (error := helper.exception()) is not None:
            log.error("a receiver failed", action="consumer.receiver_failed", error=describe(error))

    async def _receive_backlog(self, stopping: asyncio.Event) -> None:
        try:
            while not stopping.is_set() and await self._receive(stopping, BUSY_WAIT_SECONDS) * 2 >= BATCH:
                pass
        except BrokerUnavailable:
            return  # the first receiver meets the same failure and reports it

    async def _receive(self, stopping: asyncio.Event, wait_seconds: int) -> int:
        while not stopping.is_set() and not self._may_receive():
            self._changed.clear()
            await self._changed.wait()
        if stopping.is_set():
            return 0
        self._asked += BATCH
        began = time.monotonic()
        try:
            messages = await self._queue.receive(
                wait_seconds=wait_seconds, visibility_seconds=self._polling.visibility_seconds
            )
        finally:
            self._asked -= BATCH
        self._succeeded()
        if messages:
            received(self._queue.system, self._queue.name, messages, time.monotonic() - began)
            self._deliver(messages)
        return len(messages)

    def _may_receive(self) -> bool:
        return self._breaker.is_closed and self._room() - self._asked >= BATCH

    def _failed(self, trouble: str) -> None:
        self._metrics.failed_calls.labels("receive").inc()
        self._metrics.receiving.set(0)
        if trouble != self._trouble:
            log.warning(
                "cannot read the queue", action="consumer.queue_unavailable", queue=self._queue.name, error=trouble
            )
        self._trouble = trouble

    def _succeeded(self) -> None:
        if self._trouble is not None:
            log.info("reading the queue", action="consumer.queue_available", queue=self._queue.name)
        self._metrics.receiving.set(1)
        self._trouble = None
