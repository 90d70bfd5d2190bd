"""Runs what was put aside, when it is due: of each group the oldest, through the same handlers as everything else."""

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
from ...errors import MalformedEnvelope
from ...inbox.parked import DeferredMessage, Due, find_due, start
from ...signals import Signals
from ..database_breaker import DatabaseBreaker
from ..errors import Reject, describe, is_database_failure
from ..isolation import ALONE_FROM, Isolation
from ..outcome import Outcome, Unavailable
from ..pipeline.intake import STARTS_WITHOUT_END, readable
from ..pipeline.pipeline import Pipeline
from ..pipeline.work import Effort, Work
from ..telemetry import Telemetry

log = structlog.get_logger(__name__)

PUT_OFF = Backoff(first=0.2, factor=2.0, cap=30.0, jitter=0.5)


@dataclass(frozen=True, slots=True)
class DeferredOptions:
    """How often it looks for what is due, and how much it runs at once."""

    poll_seconds: float = 1.0
    concurrency: int = 8
    """Groups side by side."""
    lease_seconds: float = 300.0
    """How long a message is taken for: above the longest timeout of a handler, and what commits take."""
    burst: int = 100
    """Messages of a group in a row, before other groups that are due have their turn."""


class DeferredWorker:
    """A loop for the supervisor; any number may run at once. Waits survive restarts, for they are in the rows.

    Each group that is due has a worker of its own, which runs its messages one after the other. A message is taken when
    it starts, not before, and its start is counted: one that is left without an end tells that the process died
    meanwhile. From then on the message runs beside no other such message, and soon beside nothing.
    """

    name = "deferred-messages"

    def __init__(
        self,
        consumer: str,
        sessions: async_sessionmaker[AsyncSession],
        pipeline: Pipeline,
        breaker: DatabaseBreaker,
        telemetry: Telemetry,
        signals: Signals,
        pace: DeferredOptions | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        self._consumer = consumer
        self._sessions = sessions
        self._pipeline = pipeline
        self._breaker = breaker
        self._telemetry = telemetry
        self._signals = signals
        self._pace = pace or DeferredOptions()
        pipeline.ensure_kept(self._pace.lease_seconds, how="what was put aside is taken for")
        self._isolation = isolation or Isolation()
        self._found: deque[Due] = deque()
        self._look_at = 0.0
        self._workers: dict[str, asyncio.Task[int]] = {}
        self._suspect: str | None = None
        self._put_off: dict[str, tuple[int, float]] = {}
        self._unfinished: list[DeferredMessage] = []
        self._changed = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run what is due until asked to stop; then finish what runs."""
        stop = asyncio.create_task(self._tell(stopping))
        try:
            while not stopping.is_set():
                await self._wait_for_database(stopping)
                if stopping.is_set():
                    break
                self._changed.clear()
                if not self._found and self._has_room and time.monotonic() >= self._look_at:
                    await self._look()
                self._begin(stopping, self._pace.burst)
                await self._rest()
            await self._join()
        finally:
            stop.cancel()
            for worker in self._workers.values():
                worker.cancel()
            await self._join()

    async def run_due(self) -> int:
        """Run what is due right now, of each group one message; returns how many were started."""
        await self._look()
        ran = 0
        while self._found or self._workers:
            self._begin(asyncio.Event(), 1)
            done, _ = await asyncio.wait(self._workers.values(), return_when=asyncio.FIRST_COMPLETED)
            ran += sum(worker.result() for worker in done)
            await asyncio.sleep(0)  # so that what is told of its end is known here
        return ran

    @property
    def _has_room(self) -> bool:
        return len(self._workers) < self._pace.concurrency

    async def _look(self) -> None:
        """Find groups that are due, some more than can run now."""
        now, limit = time.monotonic(), 4 * self._pace.concurrency
        self._put_off = {group: put for group, put in self._put_off.items() if put[1] > now or group in self._workers}
        without = [*self._workers, *(group for group in self._put_off if group not in self._workers)]
        try:
            await self._release_unfinished()
            async with self._sessions() as session:
                found = await find_due(session, self._consumer, without=without, limit=limit)
        except Exception as error:
            if not is_database_failure(error):
                raise
            self._note(error)
            return
        self._found.extend(found)
        self._look_at = now if len(found) == limit else now + self._pace.poll_seconds

    def _begin(self, stopping: asyncio.Event, burst: int) -> None:
        """Give groups that were found to workers; of those started before without an end to one at a time."""
        skipped: list[Due] = []
        while self._found and self._has_room:
            due = self._found.popleft()
            if due.starts and self._suspect is not None:
                skipped.append(due)
                continue
            if due.starts:
                self._suspect = due.group
            worker = asyncio.create_task(self._drain(due, stopping, burst))
            self._workers[due.group] = worker
            worker.add_done_callback(partial(self._ended, due.group))
        self._found.extendleft(reversed(skipped))

    def _ended(self, group: str, worker: asyncio.Task[int]) -> None:
        del self._workers[group]
        if self._suspect == group:
            self._suspect = None
        if not worker.cancelled() and (error := worker.exception()) is not None:
            # A mistake in this code or in the database's grants: it is no reason to end the other groups' work.
            log.error("deferral failed", action="deferred.failed", error=describe(error), exc_info=error)
            self._pause(group)
        self._changed.set()

    async def _drain(self, due: Due, stopping: asyncio.Event, burst: int) -> int:
        """Run the group's messages in order while they are due, `burst` at the most; returns how many were started."""
        ran = 0
        while not stopping.is_set() and self._breaker.is_open:
            async with self._isolation.alone() if due.starts >= ALONE_FROM else self._isolation.beside():
                parked = await self._start(due)
                if parked is None:
                    break
                ran += 1
                if not await self._run(parked):
                    self._pause(due.group)
                    break
            self._put_off.pop(due.group, None)
            # Another look tells what else is due; of a group that goes on, too.
            if due.starts or ran >= burst:
                self._look_at = 0.0
                break
        self._signals.emit("deferred.ran", messages=ran)
        return ran

    async def _start(self, due: Due) -> DeferredMessage | None:
        try:
            async with self._sessions.begin() as session:
                return await start(session, self._consumer, due, lease_seconds=self._pace.lease_seconds)
        except Exception as error:
            if not is_database_failure(error):
                raise
            self._note(error)
            self._pause(due.group)
            return None

    def _note(self, error: BaseException) -> None:
        """What stops every statement closes the breaker; what stops this one alone passes by itself."""
        if fault_of(error) is Fault.UNAVAILABLE:
            self._breaker.close(describe(error))

    async def _run(self, parked: DeferredMessage) -> bool:
        """Whether it came to an end."""
        try:
            outcome = await self._handle(parked)
        except BaseException:
            await asyncio.shield(self._give_back(parked))
            raise
        if isinstance(outcome, Unavailable):
            if outcome.whole:
                self._breaker.close(outcome.error)
            self._unfinished.append(parked)
        return not isinstance(outcome, Unavailable)

    async def _handle(self, parked: DeferredMessage) -> Outcome:
        terminal = self._pipeline.terminal
        try:
            envelope = readable(parked.body)
        except MalformedEnvelope as error:
            with self._telemetry.about(parked.identity):
                return await terminal.dead_letter(parked, "unreadable", error, attempts=parked.attempts)
        with self._telemetry.about(parked.identity, envelope):
            if parked.starts > STARTS_WITHOUT_END:
                died = Reject(f"the process ended {STARTS_WITHOUT_END} times while it was handled")
                return await terminal.dead_letter(parked, "process_died", died, attempts=parked.attempts)
            return await self._pipeline.handle(Work(parked, envelope, Effort(parked.attempts, None)))

    async def _give_back(self, parked: DeferredMessage) -> None:
        """What was cut off is run again, and that was nobody's attempt; what had come to an end is not touched."""
        try:
            async with self._sessions.begin() as session:
                await parked.release(session)
        except Exception as error:  # noqa: BLE001 - its lease runs out by itself
            log.warning("not given back", action="deferred.lease_not_returned", error=describe(error))

    async def _release_unfinished(self) -> None:
        while self._unfinished:
            async with self._sessions.begin() as session:
                await self._unfinished[0].release(session)
            del self._unfinished[0]

    def _pause(self, group: str) -> None:
        """Leave a group alone for a while that cannot come to an end."""
        failures = 1 + self._put_off.get(group, (0, 0.0))[0]
        delay = PUT_OFF.delay(failures)
        self._put_off[group] = (failures, time.monotonic() + delay)

    async def _join(self) -> None:
        while self._workers:
            await asyncio.wait(self._workers.values())
            await asyncio.sleep(0)

    async def _rest(self) -> None:
        """Wait until there may be something to begin."""
        wait = None
        if self._has_room and not self._found:
            wait = max(0.0, self._look_at - time.monotonic())
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _tell(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._changed.set()

    async def _wait_for_database(self, stopping: asyncio.Event) -> None:
        if self._breaker.is_open:
            return
        waits = [asyncio.create_task(self._breaker.opened()), asyncio.create_task(stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
