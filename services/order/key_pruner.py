"""Forgets the answers whose keys have expired, in bounded steps."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shared.lifecycle import pause
from shared.signals import Signals

from .answers import AnswerRepository
from .metrics import OrderMetrics

log = structlog.get_logger(__name__)

STEP = 500
BETWEEN_STEPS_SECONDS = 0.1
BETWEEN_ROUNDS_SECONDS = 60.0


class KeyPruner:
    """Keeps answers for so many hours. Several may prune at once; they only share the work."""

    name = "key-pruner"

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], *, hours: float, metrics: OrderMetrics, signals: Signals
    ) -> None:
        self._sessions = sessions
        self._hours = hours
        self._metrics = metrics
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune step by step until asked to stop."""
        while not stopping.is_set():
            try:
                pruned = await self.prune()
            except (DBAPIError, PoolExhausted, OSError) as error:
                log.warning("cannot forget old keys", action="key_pruner.failed", error=type(error).__name__)
                pruned = 0
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned == STEP else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """One step; returns how many answers were forgotten."""
        async with self._sessions.begin() as session:
            pruned = await AnswerRepository(session, hours=self._hours).prune(STEP)
        self._metrics.keys_pruned.inc(pruned)
        self._signals.emit("key_pruner.pruned", answers=pruned)
        return pruned
