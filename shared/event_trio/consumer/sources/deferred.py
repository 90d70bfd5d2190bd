"""Runs deferred messages when they are due: of each group the oldest, through the same pipeline as all others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...backoff import Backoff
from ...database.faults import Fault, fault_of
from ...inbox.deferred_message import DeferredMessage, Due, find_due, lease
from ...signals import Signals
from ..database_breaker import DatabaseBreaker
from ..errors import describe, is_database_failure
from ..isolation import ISOLATED_FROM, Isolation
from ..outcome import Unavailable
from ..pipeline.pipeline import Pipeline

log = structlog.get_logger(__name__)

PAUSE = Backoff(first=0.2, factor=2.0, cap=30.0, jitter=0.5)


@dataclass(frozen=True, slots=True)
class DeferredOptions:
    """How often the table is read for due messages, and how many run at once."""

    poll_seconds: float = 1.0
    concurrency: int = 8
    """Groups that run at the same time."""
    lease_seconds: float = 300.0
    """How long a message is leased: longer than the longest timeout of a handler and its commit."""
    burst: int = 100
    """Messages of a group in a row, before other groups have their turn."""


class DeferredWorker:
    """A loop for the supervisor; any number may run at once. Delays survive restarts, because they are in the rows.

    Each group that is due has a task of its own, which runs its messages one after the other. A message is leased when
    it starts, and its start is counted: a start without an outcome means that the process ended. From then on the
    message runs beside no other such message, and from the second such start on in isolation.
    """

    name = "deferred-messages"

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        pipeline: Pipeline,
        breaker: DatabaseBreaker,
        signals: Signals,
        options: DeferredOptions | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        self._sessions = sessions
        self._pipeline = pipeline
        self._breaker = breaker
        self._signals = signals
        self._options = options or DeferredOptions()
        pipeline.ensure_kept(self._options.lease_seconds, how="a deferred message is leased for")
        self._isolation = isolation or Isolation()
        self._found: deque[Due] = deque()
        self._look_at = 0.0
        self._tasks: dict[str, asyncio.Task[int]] = {}
        self._possibly_poisonous: str | None = None
        self._paused: dict[str, tuple[int, float]] = {}
        self._unfinished: list[DeferredMessage] = []
        self._changed = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run what is due until asked to stop; then complete what runs."""
        stop = asyncio.create_task(self._notice(stopping))
        try:
            while not stopping.is_set():
                await self._wait_for_database(stopping)
                if stopping.is_set():
                    break
                self._changed.clear()
                if not self._found and self._has_room and time.monotonic() >= self._look_at:
                    await self._look()
                self._begin(stopping, self._options.burst)
                await self._wait_for_change()
            await self._join()
        finally:
            stop.cancel()
            for task in self._tasks.values():
                task.cancel()
            await self._join()

    async def run_due(self) -> int:
        """Run what is due now, one message of each group; returns how many were started."""
        await self._look()
        ran = 0
        while self._found or self._tasks:
            self._begin(asyncio.Event(), 1)
            done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            ran += sum(task.result() for task in done)
            await asyncio.sleep(0)  # lets the callbacks of the tasks run
        return ran

    @property
    def _has_room(self) -> bool:
        return len(self._tasks) < self._options.concurrency

    async def _look(self) -> None:
        """Find groups that are due, some more than can run now."""
        now, limit = time.monotonic(), 4 * self._options.concurrency
        self._paused = {group: pause for group, pause in self._paused.items() if pause[1] > now or group in self._tasks}
        without = [*self._tasks, *(group for group in self._paused if group not in self._tasks)]
        try:
            await self._end_leases()
            async with self._sessions() as session:
                found = await find_due(session, self._pipeline.consumer, without=without, limit=limit)
        except Exception as error:
            if not is_database_failure(error):
                raise
            self._record_failure(error)
            return
        self._found.extend(found)
        self._look_at = now if len(found) == limit else now + self._options.poll_seconds

    def _begin(self, stopping: asyncio.Event, burst: int) -> None:
        """Start tasks for groups that were found; one at a time for those with a start without an outcome."""
        skipped: list[Due] = []
        while self._found and self._has_room:
            due = self._found.popleft()
            if due.starts and self._possibly_poisonous is not None:
                skipped.append(due)
                continue
            if due.starts:
                self._possibly_poisonous = due.group
            task = asyncio.create_task(self._run_group(due, stopping, burst))
            self._tasks[due.group] = task
            task.add_done_callback(partial(self._ended, due.group))
        self._found.extendleft(reversed(skipped))

    def _ended(self, group: str, task: asyncio.Task[int]) -> None:
        del self._tasks[group]
        if self._possibly_poisonous == group:
            self._possibly_poisonous = None
        if not task.cancelled() and (error := task.exception()) is not None:
            # A mistake in this code or in the database's grants must not end the other groups' work.
            log.error("deferred message failed", action="deferred.failed", error=describe(error), exc_info=error)
            self._pause(group)
        self._changed.set()

    async def _run_group(self, due: Due, stopping: asyncio.Event, burst: int) -> int:
        """Run the group's messages in order while they are due, `burst` at the most; returns how many were started."""
        ran = 0
        while not stopping.is_set() and self._breaker.is_closed:
            async with self._isolation.isolated() if due.starts >= ISOLATED_FROM else self._isolation.shared():
                message = await self._lease(due)
                if message is None:
                    break
                ran += 1
                if not await self._run(message):
                    self._pause(due.group)
                    break
            self._paused.pop(due.group, None)
            # The next look finds what else is due, also of this group.
            if due.starts or ran >= burst:
                self._look_at = 0.0
                break
        self._signals.emit("deferred.ran", messages=ran)
        return ran

    async def _lease(self, due: Due) -> DeferredMessage | None:
        try:
            async with self._sessions.begin() as session:
                return await lease(session, self._pipeline.consumer, due, lease_seconds=self._options.lease_seconds)
        except Exception as error:
            if not is_database_failure(error):
                raise
            self._record_failure(error)
            self._pause(due.group)
            return None

    async def _run(self, message: DeferredMessage) -> bool:
        """Whether it came to an outcome."""
        try:
            outcome = await self._pipeline.process(message)
        except BaseException:
            await asyncio.shield(self._end_lease(message))
            raise
        if not isinstance(outcome, Unavailable):
            return True
        if outcome.whole:
            self._breaker.record_failure(outcome.error)
        self._unfinished.append(message)
        return False

    async def _end_lease(self, message: DeferredMessage) -> None:
        """A message that was interrupted runs again, and the start is not counted as an attempt."""
        try:
            async with self._sessions.begin() as session:
                await message.end_lease(session)
        except Exception as error:  # noqa: BLE001 - the lease expires by itself
            log.warning("lease not returned", action="deferred.lease_not_returned", error=describe(error))

    async def _end_leases(self) -> None:
        while self._unfinished:
            async with self._sessions.begin() as session:
                await self._unfinished[0].end_lease(session)
            del self._unfinished[0]

    def _record_failure(self, error: BaseException) -> None:
        """Open the breaker if every statement fails; a conflict of one transaction passes by itself."""
        if fault_of(error) is Fault.UNAVAILABLE:
            self._breaker.record_failure(describe(error))

    def _pause(self, group: str) -> None:
        """Leave a group alone for a while whose message came to no outcome."""
        failures = 1 + self._paused.get(group, (0, 0.0))[0]
        self._paused[group] = (failures, time.monotonic() + PAUSE.delay(failures))

    async def _join(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks.values())
            await asyncio.sleep(0)

    async def _wait_for_change(self) -> None:
        """Wait until there may be something to start."""
        wait = None
        if self._has_room and not self._found:
            wait = max(0.0, self._look_at - time.monotonic())
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _notice(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._changed.set()

    async def _wait_for_database(self, stopping: asyncio.Event) -> None:
        if self._breaker.is_closed:
            return
        waits = [asyncio.create_task(self._breaker.closed()), asyncio.create_task(stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
