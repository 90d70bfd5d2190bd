"""Runs the messages in memory: groups concurrently, each message in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ...clock import Clock
from ..delivery import QueueDelivery
from .in_flight import InFlightMessages


class MessageRunner:
    """Starts what may run after every change: one step, however many changes happened at the time.

    A step is a callback of the event loop, so that no task has to be woken for it. `may_start` says whether messages
    may be started now; `after_step` is called at the end of a step. `run` raises what a step raised.
    """

    def __init__(
        self,
        in_flight: InFlightMessages[QueueDelivery],
        clock: Clock,
        *,
        handle: Callable[[str, QueueDelivery], Coroutine[Any, Any, None]],
        abandon: Callable[[str], None],
        may_start: Callable[[float], bool],
        after_step: Callable[[], None],
    ) -> None:
        self._in_flight = in_flight
        self._clock = clock
        self._handle = handle
        self._abandon = abandon
        self._may_start = may_start
        self._after_step = after_step
        self._failure: asyncio.Future[None] | None = None
        self._step_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.tasks: set[asyncio.Task[None]] = set()
        """The tasks of the messages that run, and those that were added by `spawn`."""
        self._all_ended = asyncio.Event()

    def nudge(self) -> None:
        """Something has changed."""
        if self._failure is not None and not self._step_is_due:
            self._step_is_due = True
            asyncio.get_running_loop().call_soon(self._step)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it beside the messages; the end of the consumer waits for it."""
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def run(self) -> None:
        """Start messages until cancelled."""
        self._failure = asyncio.get_running_loop().create_future()
        self.nudge()
        try:
            await self._failure
        finally:
            self._failure = None
            self._stop_timer()

    async def ended(self, within: float) -> None:
        """Wait until nothing runs, for so many seconds at most."""
        try:
            async with asyncio.timeout(within):
                while self.tasks:
                    self._all_ended.clear()
                    await self._all_ended.wait()
        except TimeoutError:
            return

    def _step(self) -> None:
        self._step_is_due = False
        if self._failure is None or self._failure.done():
            return
        try:
            now = self._clock.monotonic()
            self._in_flight.wake(now)
            if self._may_start(now):
                self._start_ready(now)
            self._after_step()
            self._set_timer(now)
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._failure.set_exception(error)

    def _start_ready(self, now: float) -> None:
        while (taken := self._in_flight.take()) is not None:
            group, delivery = taken
            if delivery.is_expired(now):
                self._in_flight.wait(group, now)
                self._abandon(group)
                continue
            delivery.task = self.spawn(self._handle(group, delivery))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not self.tasks:
            self._all_ended.set()

    def _set_timer(self, now: float) -> None:
        """Let the next step follow when a waiting group is due."""
        due = self._in_flight.next_due()
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        self._stop_timer()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.nudge()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
