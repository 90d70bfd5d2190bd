"""Forgets the answers whose keys have expired, in bounded steps."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from ..database.connections import DATABASE_FAULTS
from ..lifecycle import pause
from ..signals import Signals
from .response_store import ResponseStore
from .transactions import Transactions

log = structlog.get_logger(__name__)

FAULTS: tuple[type[BaseException], ...] = (DBAPIError, PoolExhausted, *DATABASE_FAULTS)
STEP = 500
BETWEEN_STEPS_SECONDS = 0.1
BETWEEN_ROUNDS_SECONDS = 60.0


class KeyPruner:
    """A loop for the supervisor. Several may prune at once; they only share the work."""

    name = "key-pruner"

    def __init__(self, answers: ResponseStore, transactions: Transactions, *, signals: Signals) -> None:
        self._answers = answers
        self._transactions = transactions
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune step by step until asked to stop."""
        while not stopping.is_set():
            try:
                pruned = await self.prune()
            except FAULTS as error:
                log.warning("cannot forget old keys", action="key_pruner.failed", error=type(error).__name__)
                pruned = 0
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned == STEP else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """One step; returns how many answers were forgotten."""
        async with self._transactions() as fetch:
            pruned = await self._answers.prune(fetch, STEP)
        self._signals.emit("key_pruner.pruned", answers=pruned)
        return pruned
