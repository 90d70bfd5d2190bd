"""The consumer's loop: receives, runs groups side by side, keeps messages in flight, acknowledges, drains."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, assert_never

import structlog

from ...backoff import Backoff
from ...broker.queue import BATCH, Message, Queue
from ...clock import Clock
from ...signals import Signals
from ..database_breaker import DatabaseBreaker
from ..errors import describe
from ..isolation import Isolation
from ..metrics import ConsumerMetrics
from ..outcome import (
    DeadLettered,
    Deferred,
    Duplicate,
    FailurePublished,
    Handled,
    Ignored,
    NeedsIsolation,
    Outcome,
    Retry,
    Skipped,
    Unavailable,
)
from ..pipeline.intake import Intake
from .acknowledgements import Acknowledgements
from .delivery import Delivery
from .in_flight import InFlightMessages
from .poller import Poller, Polling
from .visibility import Heartbeat

log = structlog.get_logger(__name__)

PUT_OFF = Backoff(first=0.2, factor=2.0, cap=10.0, jitter=0.5)
FLUSH_SECONDS = 5.0
"""How long deletes that fail are repeated at the end, where the drain budget is not used up."""
STARTS_WHILE_DRAINING = 0.75
"""The share of the drain budget in which messages already in hand are still started."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a consumer."""

    concurrency: int = 16
    """Handlers that run at once."""
    capacity: int = 300
    """Messages in hand: running, queued, and waiting to be retried."""
    waiting: int = 150
    """Messages in groups that wait for a retry in place; beyond that, what fails is put aside."""
    hold_seconds: float = 900.0
    """How long a message is kept in flight at the most, whatever happens."""
    drain_seconds: float = 20.0
    """How long what was begun may go on after the stop."""
    polling: Polling = field(default_factory=Polling)

    def __post_init__(self) -> None:
        if self.capacity < (least := BATCH * self.polling.receivers):
            raise ValueError(f"capacity has to hold what {self.polling.receivers} receivers ask for: {least}")


class Consumer:
    """Reads one queue. It is a loop for the supervisor.

    A message is deleted only after its outcome was committed; none is ever given back to the queue before its time,
    because that is how a FIFO queue gets out of order. What cannot be finished expires and is delivered again.
    """

    def __init__(
        self,
        name: str,
        queue: Queue,
        intake: Intake,
        breaker: DatabaseBreaker,
        metrics: ConsumerMetrics,
        clock: Clock,
        signals: Signals,
        limits: Limits | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        self.name = name
        self._intake = intake
        self._breaker = breaker
        self._metrics = metrics
        self._clock = clock
        self._signals = signals
        self._limits = limits or Limits()
        self._isolation = isolation or Isolation()
        intake.ensure_kept(self._limits.hold_seconds, how="its message is held in flight for")
        polling = self._limits.polling
        self._heartbeat = Heartbeat(
            queue, metrics, clock, seconds=polling.visibility_seconds, limit=self._limits.hold_seconds
        )
        self._receivers = Poller(queue, breaker, metrics, polling, room=self._room, deliver=self._take_in)
        self._acknowledgements = Acknowledgements(
            queue, metrics, clock, signals, busy=lambda: self._groups.ready > 0, on_done=self._receivers.nudge
        )
        self._groups = self._no_groups()
        self._handlers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    @property
    def trouble(self) -> str | None:
        """What keeps it from working, in a sentence, or None."""
        return self._receivers.trouble or (f"database: {self._breaker.trouble}" if self._breaker.trouble else None)

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until asked to stop; then finish what runs and what the last receive brings, within the budget."""
        self._groups = self._no_groups()
        try:
            async with asyncio.TaskGroup() as tasks:
                standing = [
                    tasks.create_task(work)
                    for work in (
                        self._breaker.run(on_open=self._nudge),
                        self._acknowledgements.run(),
                        self._keep_in_flight(),
                        self._nudge_after(stopping),
                    )
                ]
                receiving = tasks.create_task(self._receivers.run(stopping))
                receiving.add_done_callback(lambda _: self._nudge())
                deadline = await self._dispatch(stopping, receiving)
                receiving.cancel()
                for task in standing:
                    task.cancel()
            left = deadline - self._clock.monotonic()
            await self._acknowledgements.flush(within=min(left, FLUSH_SECONDS))
        finally:
            await self._abandon_all()
        self._signals.emit("consumer.drained", consumer=self.name)

    async def _dispatch(self, stopping: asyncio.Event, receiving: asyncio.Task[None]) -> float:
        deadline: float | None = None
        while True:
            now = self._clock.monotonic()
            if stopping.is_set() and deadline is None:
                deadline = now + self._limits.drain_seconds
            may_start = deadline is None or now < deadline - self._limits.drain_seconds * (1 - STARTS_WHILE_DRAINING)
            self._groups.wake(now)
            if self._breaker.is_open and may_start:
                self._start_ready(now)
            self._acknowledgements.nudge()
            self._measure()
            if deadline is not None and (now >= deadline or (receiving.done() and not self._handlers)):
                return deadline
            due = self._groups.next_due() if deadline is None else deadline
            await self._wait_for_change(None if due is None else max(0.0, due - now))

    def _start_ready(self, now: float) -> None:
        while (taken := self._groups.take()) is not None:
            group, delivery = taken
            if delivery.is_lost(now):
                self._groups.wait(group, now)
                self._abandon(group)
                continue
            delivery.task = asyncio.create_task(self._handle(group, delivery))
            self._handlers.add(delivery.task)
            delivery.task.add_done_callback(self._handlers.discard)

    async def _handle(self, group: str, delivery: Delivery) -> None:
        in_place = self._groups.waiting < self._limits.waiting
        outcome: Outcome | NeedsIsolation
        try:
            async with self._isolation.alone() if delivery.alone else self._isolation.beside():
                outcome = await self._intake.process(delivery, in_place=in_place)
        except Exception as error:
            # A mistake in this code or in the database's grants: it is no reason to end the other groups' work.
            log.exception("delivery failed", action="consumer.failed", message_id=delivery.message.message_id)
            outcome = Unavailable(describe(error), whole=False)
        delivery.task = None
        now = self._clock.monotonic()
        match outcome:
            case Handled() | Duplicate() | Skipped() | Ignored() | FailurePublished() | Deferred() | DeadLettered():
                self._groups.finish(group)
                last = not self._groups.of(group)
                self._acknowledgements.add(delivery.message, valid_until=delivery.visible_at, last=last)
            case NeedsIsolation():
                delivery.alone = True
                self._groups.wait(group, now, alone=True)
            case Retry():
                self._groups.wait(group, now + outcome.after)
            case Unavailable():
                if outcome.whole:
                    self._breaker.close(outcome.error)
                delivery.outages += 1
                pause = PUT_OFF.delay(delivery.outages)
                self._groups.wait(group, now + pause)
            case _:
                assert_never(outcome)
        self._nudge()

    def _room(self) -> int:
        return self._groups.room - self._acknowledgements.pending

    def _take_in(self, messages: list[Message]) -> None:
        now = self._clock.monotonic()
        for message in messages:
            delivery = Delivery(message, received_at=now, visible_at=self._heartbeat.visible_at(now))
            if (held := self._in_hand(delivery)) is not None:
                # It keeps its place; what stands before or behind it and did not come again is still lost.
                held.renew(message, delivery.visible_at)
                self._metrics.received_again.inc()
                log.info("received what is in hand", action="consumer.received_again", message_id=message.message_id)
                continue
            self._groups.add(delivery.group, delivery)
        self._signals.emit("consumer.received", messages=len(messages))
        self._nudge()

    def _in_hand(self, delivery: Delivery) -> Delivery | None:
        known = self._groups.of(delivery.group)
        return next((held for held in known if held.message.message_id == delivery.message.message_id), None)

    async def _keep_in_flight(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat.interval / 2)
            await self._heartbeat.beat(list(self._groups.items()))
            now = self._clock.monotonic()
            for group, deliveries in self._groups.idle_groups().items():
                if any(delivery.is_lost(now) for delivery in deliveries):
                    self._abandon(group)
            self._nudge()

    def _abandon(self, group: str) -> None:
        """Let a whole group expire: behind a message that was lost, nothing of it may run here."""
        deliveries = self._groups.drop(group)
        self._metrics.abandoned.inc(len(deliveries))
        log.warning("messages left to expire", action="consumer.abandoned", messages=len(deliveries))
        for delivery in deliveries:
            if delivery.marked:
                self._spawn(self._intake.release(delivery))

    async def _abandon_all(self) -> None:
        for task in self._handlers:
            task.cancel()
        if self._handlers:
            log.warning("handlers cancelled", action="consumer.handlers_cancelled", handlers=len(self._handlers))
            await asyncio.wait(self._handlers)
        marked = [delivery for delivery in self._groups.items() if delivery.marked]
        if left := self._groups.held:
            self._metrics.abandoned.inc(left)
            log.info("messages left to expire", action="consumer.abandoned", messages=left)
        self._groups = self._no_groups()
        await asyncio.gather(*(self._intake.release(delivery) for delivery in marked))

    async def _nudge_after(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._nudge()

    async def _wait_for_change(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def _nudge(self) -> None:
        self._changed.set()
        self._receivers.nudge()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    def _measure(self) -> None:
        running, waiting = self._groups.running, self._groups.waiting
        self._metrics.messages.labels("running").set(running)
        self._metrics.messages.labels("waiting").set(waiting)
        self._metrics.messages.labels("queued").set(self._groups.held - running - waiting)

    def _no_groups(self) -> InFlightMessages[Delivery]:
        return InFlightMessages(concurrency=self._limits.concurrency, capacity=self._limits.capacity)
