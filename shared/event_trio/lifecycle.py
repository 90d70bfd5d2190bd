"""Background loops: started, watched, restarted after a failure, and drained at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from .backoff import Backoff
from .error_text import describe, format_traceback, operator_text
from .signals import Signals

log = structlog.get_logger(__name__)

RESTART = Backoff(first=0.2, factor=2, cap=10.0, jitter=0.5)


class Loop(Protocol):
    """A background task that runs until it is asked to stop."""

    name: str

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set, then finish the work in progress and return.

        Raising an error, or returning earlier, counts as a failure: the supervisor logs it and restarts the loop.
        """
        ...


class LoopObserver(Protocol):
    """What observes loops, for the metrics."""

    def watch(self, loop: str, is_running: Callable[[], bool]) -> None:
        """Observe a loop."""
        ...

    def failed(self, loop: str) -> None:
        """Count a failure of the loop."""
        ...


@dataclass(frozen=True, slots=True)
class LoopState:
    """The state of a loop."""

    running: bool
    failures: int
    last_error: str | None


class Supervisor:
    """Runs loops concurrently, restarts those that fail, and stops all of them within one time budget."""

    def __init__(
        self,
        loops: Sequence[Loop],
        *,
        drain_seconds: float = 10.0,
        signals: Signals | None = None,
        observer: LoopObserver | None = None,
    ) -> None:
        self._loops = tuple(loops)
        self._drain_seconds = drain_seconds
        self._signals = signals or Signals()
        self._stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._states = {loop.name: LoopState(running=False, failures=0, last_error=None) for loop in self._loops}
        self._observer = observer
        if observer is not None:
            for loop in self._loops:
                observer.watch(loop.name, partial(self._is_running, loop.name))
        if len(self._states) != len(self._loops):
            raise ValueError(f"two loops have the same name: {[loop.name for loop in self._loops]}")

    def states(self) -> dict[str, LoopState]:
        """The state of each loop, by name."""
        return dict(self._states)

    def _is_running(self, name: str) -> bool:
        return self._states[name].running

    def unhealthy(self) -> str | None:
        """A sentence that names the loops that are not running, or None. The log has their errors."""
        down = [name for name, state in self._states.items() if not state.running]
        return f"loops not running: {', '.join(down)}" if down else None

    async def start(self) -> None:
        """Start every loop, and return without waiting for them."""
        for loop in self._loops:
            self._tasks[loop.name] = asyncio.create_task(self._keep_running(loop), name=loop.name)

    async def stop(self) -> None:
        """Ask every loop to finish; those that exceed the budget are cancelled, and named in the log."""
        self._stopping.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks.values(), timeout=self._drain_seconds)
        for task in late:
            log.warning("loop did not finish in time", action="loop.cancelled", loop=task.get_name())
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep_running(self, loop: Loop) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._states[loop.name] = LoopState(running=True, failures=failures, last_error=None)
            error = "it returned before it was asked to stop"
            try:
                await loop.run(self._stopping)
            except Exception as raised:  # noqa: BLE001
                error = operator_text(raised)
                # Logged without the locals and texts of libraries, which quote events.
                log.error(
                    "loop failed",
                    action="loop.failed",
                    loop=loop.name,
                    error=describe(raised),
                    exception=format_traceback(raised),
                )
            if self._stopping.is_set():
                break
            failures += 1
            if self._observer is not None:
                self._observer.failed(loop.name)
            self._states[loop.name] = LoopState(running=False, failures=failures, last_error=error)
            self._signals.emit("loop.failed", loop=loop.name, error=error)
            await pause(self._stopping, RESTART.delay(failures))
        self._states[loop.name] = LoopState(running=False, failures=failures, last_error="stopped")


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait for so many seconds, or until asked to stop; returns whether it was asked to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return stopping.is_set()
    return True


class Waker:
    """Wakes a loop that waits between two rounds."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """End the current wait, or the next one immediately."""
        self._woken.set()

    async def rest(self, stopping: asyncio.Event, seconds: float) -> None:
        """Wait for so many seconds, or until woken or asked to stop."""
        waits = [asyncio.create_task(stopping.wait()), asyncio.create_task(self._woken.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._woken.clear()
