"""Runs what was put aside, when it is due: of each group the oldest, through the same handlers as everything else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..database_faults import Fault, fault_of
from ..errors import MalformedEnvelope
from ..inbox.parked import Parked, take_due
from ..lifecycle import pause
from ..signals import Signals
from .failures import Reject, describe, is_database_failure
from .gate import Gate
from .handling import Handling
from .outcome import Outcome, Unavailable
from .processor import STARTS_WITHOUT_END, readable
from .reporting import Report
from .work import Effort, Work

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often it looks for what is due, and how much it runs at once."""

    poll_seconds: float = 1.0
    concurrency: int = 8
    lease_seconds: float = 300.0
    """How long a message is taken for: above the longest timeout of a handler, and what commits take."""


class Deferrals:
    """A loop for the supervisor; any number may run at once. Waits survive restarts, for they are in the rows."""

    name = "deferrals"

    def __init__(
        self,
        consumer: str,
        sessions: async_sessionmaker[AsyncSession],
        handling: Handling,
        gate: Gate,
        report: Report,
        signals: Signals,
        pace: Pace | None = None,
    ) -> None:
        self._consumer = consumer
        self._sessions = sessions
        self._handling = handling
        self._gate = gate
        self._report = report
        self._signals = signals
        self._pace = pace or Pace()
        self._unfinished: list[Parked] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Run what is due until asked to stop; then finish what runs."""
        while not stopping.is_set():
            await self._gate_or(stopping)
            if stopping.is_set():
                break
            if not await self.run_due():
                await pause(stopping, self._pace.poll_seconds)

    async def run_due(self) -> int:
        """Take what is due right now and run it, each to an outcome; returns how many were taken."""
        try:
            taken = await self._take()
        except Exception as error:
            if not is_database_failure(error):
                raise
            if fault_of(error) is Fault.DATABASE:
                self._gate.close(describe(error))
            return 0
        if taken:
            try:
                await asyncio.gather(*(self._run(parked) for parked in taken))
            except BaseException:
                await asyncio.shield(self._give_back(taken))
                raise
        self._signals.emit("deferrals.ran", messages=len(taken))
        # What lost to others is not taken again at once.
        return len(taken) - len(self._unfinished)

    async def _take(self) -> list[Parked]:
        async with self._sessions.begin() as session:
            for parked in self._unfinished:
                await parked.release(session)
        self._unfinished.clear()
        async with self._sessions.begin() as session:
            return await take_due(
                session, self._consumer, limit=self._pace.concurrency, lease_seconds=self._pace.lease_seconds
            )

    async def _run(self, parked: Parked) -> None:
        outcome = await self._handle(parked)
        if isinstance(outcome, Unavailable):
            if outcome.whole:
                self._gate.close(outcome.error)
            self._unfinished.append(parked)

    async def _handle(self, parked: Parked) -> Outcome:
        endings = self._handling.endings
        try:
            envelope = readable(parked.body)
        except MalformedEnvelope as error:
            with self._report.about(parked.identity):
                return await endings.bury(parked, "unreadable", error, attempts=parked.attempts)
        with self._report.about(parked.identity, envelope):
            if parked.starts > STARTS_WITHOUT_END:
                died = Reject(f"the process ended {STARTS_WITHOUT_END} times while it was handled")
                return await endings.bury(parked, "process_died", died, attempts=parked.attempts)
            return await self._handling.handle(Work(parked, envelope, Effort(parked.attempts, None)))

    async def _give_back(self, taken: list[Parked]) -> None:
        """What was cut off is run again, and that was nobody's attempt; what had come to an end is not touched."""
        try:
            async with self._sessions.begin() as session:
                for parked in taken:
                    await parked.release(session)
        except Exception as error:  # noqa: BLE001 - its lease runs out by itself
            log.warning("not given back", action="deferrals.not_given_back", error=describe(error))

    async def _gate_or(self, stopping: asyncio.Event) -> None:
        if self._gate.is_open:
            return
        waits = [asyncio.create_task(self._gate.opened()), asyncio.create_task(stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
