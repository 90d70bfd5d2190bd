"""The loop of every background job: repeat a bounded step, rest between steps, survive the database's failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from event_trio.database.connections import DATABASE_FAULTS
from event_trio.lifecycle import Waker


class Job(Protocol):
    """Work that is done in bounded steps."""

    name: str
    rest_seconds: float
    """How long to rest when no more work is known."""
    busy_seconds: float
    """How long to rest between steps while there is more work."""

    async def step(self) -> bool:
        """Do a bounded piece of work; True if there may be more. May raise what the database raises."""
        ...

    def log_failure(self, error: BaseException) -> None:
        """Log a step that the database made fail."""
        ...


class StepLoop:
    """Repeats a job's step until stopped. After a failed step the loop rests and tries again."""

    def __init__(self, job: Job, *, may_run: Callable[[], bool] = lambda: True) -> None:
        """`may_run` tells whether this process does the job now; if not, the loop rests."""
        self.name = job.name
        self._job = job
        self._may_run = may_run
        self._waker = Waker()

    def wake(self) -> None:
        """End the current rest and do a step."""
        self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Do steps until asked to stop."""
        while not stopping.is_set():
            more = self._may_run() and await self._step()
            await self._waker.rest(stopping, self._job.busy_seconds if more else self._job.rest_seconds)

    async def _step(self) -> bool:
        try:
            return await self._job.step()
        except DATABASE_FAULTS as error:
            self._job.log_failure(error)
            return False
