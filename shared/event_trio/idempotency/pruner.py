"""Deletes stored responses whose keys have expired, in bounded steps."""

from __future__ import annotations

import asyncio

import structlog

from ..database.faults import fault_of
from ..lifecycle import pause
from ..signals import Signals
from .response_store import ResponseStore
from .transactions import Transactions

log = structlog.get_logger(__name__)

STEP = 500
BETWEEN_STEPS_SECONDS = 0.1
BETWEEN_ROUNDS_SECONDS = 60.0


class KeyPruner:
    """A background loop. Several instances may run concurrently."""

    name = "key-pruner"

    def __init__(self, store: ResponseStore, transactions: Transactions, *, signals: Signals) -> None:
        self._store = store
        self._transactions = transactions
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune until asked to stop."""
        while not stopping.is_set():
            try:
                pruned = await self.prune()
            except Exception as error:
                if fault_of(error) is None:
                    raise
                log.warning("cannot delete expired keys", action="key_pruner.failed", error=type(error).__name__)
                pruned = 0
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned == STEP else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """Run one step; returns how many responses were deleted."""
        async with self._transactions() as fetch:
            pruned = await self._store.prune(fetch, STEP)
        self._signals.emit("key_pruner.pruned", responses=pruned)
        return pruned
