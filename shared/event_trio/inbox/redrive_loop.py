"""Carries out requested redrives in steps; any number of processes may do so at once."""

from __future__ import annotations

import asyncio

import structlog

from ..database.faults import fault_of
from ..error_text import describe
from ..signals import Signals
from .redrives import Redrives

log = structlog.get_logger(__name__)

IDLE_SECONDS = 5.0
"""How often a process looks for redrives that were requested at another one."""
BETWEEN_STEPS_SECONDS = 0.02


class RedriveLoop:
    """A loop for the supervisor."""

    name = "redrives"

    def __init__(self, redrives: Redrives, *, signals: Signals) -> None:
        self._redrives = redrives
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Make messages due until asked to stop."""
        while not stopping.is_set():
            try:
                seconds = await self._redrives.step()
            except Exception as error:
                if fault_of(error) is None:
                    raise
                log.warning("cannot redrive dead letters", action="redrives.failed", error=describe(error))
                seconds = None
            self._signals.emit("redrives.stepped", seconds=seconds)
            rest = IDLE_SECONDS if seconds is None else min(IDLE_SECONDS, max(BETWEEN_STEPS_SECONDS, seconds))
            await self._redrives.waker.rest(stopping, rest)
