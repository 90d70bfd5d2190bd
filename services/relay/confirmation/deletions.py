"""Deletes recorded confirmations promptly: SQS delivers no more of a group while ten of its messages are in flight."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import structlog

from event_trio.backoff import Backoff
from event_trio.broker.source import BATCH, Message, MessageSource
from event_trio.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 30
# A receipt is valid while its message is invisible; a later delete would be rejected.
VALID_SECONDS = VISIBILITY_SECONDS - 5
# Concurrent calls: as many as receivers, or what is received stays in flight.
CALLS = 16
# A group with this many undeleted messages probably has more, which wait for the delete.
HOT = 5
FEW_HOT = 2
RETRY = Backoff(first=0.1, factor=2, cap=2.0, jitter=0.5)


class Deletions:
    """Tracks received messages until they are deleted, and deletes concurrently with recording, hot groups first."""

    def __init__(self, queue: MessageSource) -> None:
        self._queue = queue
        self._received: dict[str, tuple[str, float]] = {}
        self._groups: Counter[str] = Counter()
        self._hot: set[str] = set()
        self._calls = asyncio.Semaphore(CALLS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    @property
    def in_hand(self) -> int:
        """How many received messages are neither deleted nor given up."""
        return len(self._received)

    @property
    def hot(self) -> bool:
        """Whether a group probably waits for its messages to be deleted."""
        return bool(self._hot)

    @property
    def many_hot(self) -> bool:
        """Whether several groups do, so that all receivers have work whichever group is recorded first."""
        return len(self._hot) > FEW_HOT

    def received(self, messages: Sequence[Message]) -> None:
        """Track received messages."""
        now = time.monotonic()
        for message in messages:
            self._received[message.receipt_handle] = (message.group, now)
            self._groups[message.group] += 1
            if self._groups[message.group] >= HOT:
                self._hot.add(message.group)

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete these in the background."""
        ordered = sorted(messages, key=lambda message: message.group not in self._hot)
        for start in range(0, len(ordered), BATCH):
            task = asyncio.create_task(self._delete(ordered[start : start + BATCH]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drained(self) -> None:
        """Wait for the deletes in progress. A failed one is not repeated; its messages are delivered again."""
        self._draining = True
        await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        """Cancel all deletes and forget the messages."""
        for task in self._tasks:
            task.cancel()
        self._received.clear()
        self._groups.clear()
        self._hot.clear()

    async def _delete(self, messages: Sequence[Message]) -> None:
        """Delete until it succeeds or the receipts have expired; then the messages are delivered again."""
        left, failures = list(messages), 0
        try:
            while True:
                reason = "refused"
                try:
                    async with self._calls:
                        refused = await self._queue.delete(left)
                except BrokerUnavailable as error:
                    refused, reason = left, str(error)
                gone = {message.receipt_handle for message in refused}
                self._forget([message for message in left if message.receipt_handle not in gone])
                left, failures = self._valid(refused), failures + 1
                if not left:
                    return
                if failures == 1:
                    log.warning("cannot delete confirmations yet", action="publish_check.not_deleted", reason=reason)
                if self._draining:
                    return
                await asyncio.sleep(RETRY.delay(failures))
        finally:
            self._forget(left)

    def _valid(self, messages: Sequence[Message]) -> list[Message]:
        earliest = time.monotonic() - VALID_SECONDS
        valid = [m for m in messages if self._received.get(m.receipt_handle, ("", 0.0))[1] > earliest]
        keys = {message.receipt_handle for message in valid}
        self._forget([message for message in messages if message.receipt_handle not in keys])
        return valid

    def _forget(self, messages: Sequence[Message]) -> None:
        for message in messages:
            group, _ = self._received.pop(message.receipt_handle, (None, 0.0))
            if group is None:
                continue
            self._groups[group] -= 1
            if self._groups[group] < HOT:
                self._hot.discard(group)
            if not self._groups[group]:
                del self._groups[group]
