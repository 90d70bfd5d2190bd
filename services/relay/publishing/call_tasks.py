"""Calls in flight, as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class CallTasks:
    """Runs calls side by side and keeps the error of one that failed unexpectedly."""

    def __init__(self, on_done: Callable[[], None]) -> None:
        """`on_done` is called after each call."""
        self._on_done = on_done
        self._tasks: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, call: Coroutine[None, None, None]) -> None:
        """Start a call; returns at once."""
        task = asyncio.create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    async def finished(self) -> None:
        """Wait until no call is in flight."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def cancel(self) -> None:
        """Cancel the calls in flight and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.error = error
        self._on_done()
