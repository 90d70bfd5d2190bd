"""The consumer's loop: receives messages, runs groups concurrently, keeps messages in flight, and drains."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import assert_never

import structlog

from ...backoff import Backoff
from ...broker.source import BATCH, Message, MessageSource
from ...clock import Clock
from ...error_text import format_traceback
from ...signals import Signals
from ..database_breaker import DatabaseBreaker
from ..delivery import QueueDelivery
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
    RetryScheduled,
    Skipped,
    Unavailable,
)
from ..pipeline.pipeline import Pipeline
from .acknowledgements import Acknowledgements
from .in_flight import InFlightMessages
from .message_runner import MessageRunner
from .poller import Poller, Polling
from .visibility import Heartbeat

log = structlog.get_logger(__name__)

UNAVAILABLE = Backoff(first=0.2, factor=2.0, cap=10.0, jitter=0.5)
FLUSH_SECONDS = 5.0
"""How long failed deletes are repeated at the end, if the drain budget allows."""
STARTS_WHILE_DRAINING = 0.75
"""The share of the drain budget in which messages in memory are still started."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a consumer."""

    concurrency: int = 16
    """Handlers that run at once."""
    capacity: int = 300
    """Messages in memory: running, queued, and waiting to be retried."""
    waiting: int = 150
    """Messages in groups that wait for a retry in flight. Beyond that, a message that fails is deferred."""
    hold_seconds: float = 900.0
    """The longest time that a message is kept in flight."""
    drain_seconds: float = 20.0
    """How long running handlers may continue after the stop."""
    polling: Polling = field(default_factory=Polling)

    def __post_init__(self) -> None:
        if self.capacity < (least := BATCH * self.polling.receivers):
            raise ValueError(f"capacity has to hold what {self.polling.receivers} receivers ask for: {least}")


class Consumer:
    """Reads one queue. A loop for the supervisor.

    A message is deleted only after its outcome is committed. No message is returned to the queue early, because that
    is how a FIFO queue gets out of order: a message that cannot be completed expires and is delivered again.
    """

    def __init__(
        self,
        name: str,
        queue: MessageSource,
        pipeline: Pipeline,
        breaker: DatabaseBreaker,
        metrics: ConsumerMetrics,
        clock: Clock,
        signals: Signals,
        limits: Limits | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        self.name = name
        self._pipeline = pipeline
        self._breaker = breaker
        self._metrics = metrics
        self._clock = clock
        self._signals = signals
        self._limits = limits or Limits()
        self._isolation = isolation or Isolation()
        pipeline.ensure_kept(self._limits.hold_seconds, how="its message is kept in flight for")
        polling = self._limits.polling
        self._heartbeat = Heartbeat(
            queue, metrics, clock, seconds=polling.visibility_seconds, limit=self._limits.hold_seconds
        )
        self._poller = Poller(queue, breaker, metrics, polling, room=self._room, deliver=self._receive)
        self._acknowledgements = Acknowledgements(
            queue, metrics, clock, signals, busy=lambda: self._in_flight.ready > 0, on_done=self._poller.nudge
        )
        self._in_flight = self._none_in_flight()
        self._runner = self._new_runner()
        self._starts_until = float("inf")
        self._measure()

    @property
    def trouble(self) -> str | None:
        """Why it cannot work, in a sentence, or None."""
        return self._poller.trouble or (f"database: {self._breaker.reason}" if self._breaker.reason else None)

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until asked to stop. Then complete what runs and what the last receive brings, within the budget."""
        self._in_flight = self._none_in_flight()
        self._runner = self._new_runner()
        self._starts_until = float("inf")
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work)
                    for work in (
                        self._breaker.run(on_close=self._nudge),
                        self._acknowledgements.run(),
                        self._runner.run(),
                        self._keep_in_flight(),
                    )
                ]
                receiving = tasks.create_task(self._poller.run(stopping))
                await stopping.wait()
                deadline = await self._drain(receiving)
                receiving.cancel()
                for task in background:
                    task.cancel()
            left = deadline - self._clock.monotonic()
            await self._acknowledgements.flush(within=min(left, FLUSH_SECONDS))
        finally:
            await self._abandon_all()
        self._signals.emit("consumer.drained", consumer=self.name)

    async def _drain(self, receiving: asyncio.Task[None]) -> float:
        """Wait for the last receive and for what runs, within the budget; returns when the budget ends."""
        now = self._clock.monotonic()
        deadline = now + self._limits.drain_seconds
        self._starts_until = now + self._limits.drain_seconds * STARTS_WHILE_DRAINING
        self._poller.nudge()
        await asyncio.wait([receiving], timeout=self._limits.drain_seconds)
        while self._runner.tasks and (left := deadline - self._clock.monotonic()) > 0:
            await self._runner.ended(within=left)
            # What ended may have let others start.
            await asyncio.sleep(0)
        return deadline

    def _may_start(self, now: float) -> bool:
        return self._breaker.is_closed and now < self._starts_until

    def _after_step(self) -> None:
        self._acknowledgements.nudge()
        self._poller.nudge()

    async def _handle(self, group: str, delivery: QueueDelivery) -> None:
        delivery.stays_in_flight = self._in_flight.waiting < self._limits.waiting
        outcome: Outcome | NeedsIsolation
        try:
            async with self._isolation.isolated() if delivery.isolated else self._isolation.shared():
                outcome = await self._pipeline.process(delivery)
        except Exception as error:  # noqa: BLE001
            # A mistake in this code or in the database's grants must not end the other groups' work.
            # Logged without the locals and texts of libraries, which quote the event.
            log.error(
                "delivery failed",
                action="consumer.failed",
                message_id=delivery.message_id,
                error=describe(error),
                exception=format_traceback(error),
            )
            outcome = Unavailable(describe(error), whole=False)
        delivery.task = None
        now = self._clock.monotonic()
        match outcome:
            case Handled() | Duplicate() | Skipped() | Ignored() | FailurePublished() | Deferred() | DeadLettered():
                last = self._in_flight.finish(group)
                self._acknowledgements.add(delivery.message, valid_until=delivery.visible_at, last=last)
            case NeedsIsolation():
                delivery.isolated = True
                self._in_flight.wait(group, now, isolated=True)
            case RetryScheduled():
                self._in_flight.wait(group, now + outcome.after)
            case Unavailable():
                if outcome.whole:
                    self._breaker.record_failure(outcome.error)
                delivery.database_failures += 1
                self._in_flight.wait(group, now + UNAVAILABLE.delay(delivery.database_failures))
            case _:
                assert_never(outcome)
        self._nudge()

    def _room(self) -> int:
        return self._in_flight.room - self._acknowledgements.pending

    def _receive(self, messages: list[Message]) -> None:
        now = self._clock.monotonic()
        for message in messages:
            visible_at = self._heartbeat.visible_at(now)
            delivery = QueueDelivery.of(message, self._pipeline.consumer, received_at=now, visible_at=visible_at)
            if (held := self._in_flight_already(delivery)) is not None:
                # It keeps its place. Messages of the group that were not received again have still expired.
                held.renew(message, delivery.visible_at)
                self._metrics.received_again.inc()
                log.info("received again", action="consumer.received_again", message_id=message.message_id)
                continue
            self._in_flight.add(delivery.group, delivery)
        self._signals.emit("consumer.received", messages=len(messages))
        self._nudge()

    def _in_flight_already(self, delivery: QueueDelivery) -> QueueDelivery | None:
        known = self._in_flight.of(delivery.group)
        return next((held for held in known if held.message.message_id == delivery.message.message_id), None)

    async def _keep_in_flight(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat.interval / 2)
            await self._heartbeat.beat(list(self._in_flight.items()))
            now = self._clock.monotonic()
            for group, deliveries in self._in_flight.idle_groups().items():
                if any(delivery.is_expired(now) for delivery in deliveries):
                    self._abandon(group)
            self._nudge()

    def _abandon(self, group: str) -> None:
        """Let a whole group expire: after an expired message no other of its group may run here."""
        deliveries = self._in_flight.drop(group)
        self._metrics.abandoned.inc(len(deliveries))
        log.warning("messages left to expire", action="consumer.abandoned", messages=len(deliveries))
        for delivery in deliveries:
            if delivery.attempt_recorded:
                self._runner.spawn(self._pipeline.forget_attempt(delivery))

    async def _abandon_all(self) -> None:
        if tasks := set(self._runner.tasks):
            for task in tasks:
                task.cancel()
            log.warning("handlers cancelled", action="consumer.handlers_cancelled", handlers=len(tasks))
            await asyncio.wait(tasks)
        marked = [delivery for delivery in self._in_flight.items() if delivery.attempt_recorded]
        if left := self._in_flight.held:
            self._metrics.abandoned.inc(left)
            log.info("messages left to expire", action="consumer.abandoned", messages=left)
        self._in_flight = self._none_in_flight()
        await asyncio.gather(*(self._pipeline.forget_attempt(delivery) for delivery in marked))

    def _nudge(self) -> None:
        self._runner.nudge()

    def _measure(self) -> None:
        """The gauges are computed when they are read."""
        messages = self._metrics.messages
        messages.labels("running").set_function(lambda: self._in_flight.running)
        messages.labels("waiting").set_function(lambda: self._in_flight.waiting)
        messages.labels("queued").set_function(
            lambda: self._in_flight.held - self._in_flight.running - self._in_flight.waiting
        )

    def _new_runner(self) -> MessageRunner:
        return MessageRunner(
            self._in_flight,
            self._clock,
            handle=self._handle,
            abandon=self._abandon,
            may_start=self._may_start,
            after_step=self._after_step,
        )

    def _none_in_flight(self) -> InFlightMessages[QueueDelivery]:
        return InFlightMessages(concurrency=self._limits.concurrency, capacity=self._limits.capacity)
