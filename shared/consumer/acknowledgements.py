"""Deletes settled messages from the queue, in batches, after their commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..errors import BrokerUnavailable
from ..queue import BATCH, Message, Queue
from ..signals import Signals
from .metrics import ConsumerMetrics

log = structlog.get_logger(__name__)

LINGER_SECONDS = 0.2
"""How long a message waits for others to be deleted with it, while there are others in hand: what follows in its group
is not delivered until then."""
AT_ONCE = 4
"""Delete calls side by side."""


class Acknowledgements:
    """Settled messages on their way out of the queue.

    A delete that fails is not repeated: the message is delivered once more, and the inbox settles it.
    """

    def __init__(
        self, queue: Queue, metrics: ConsumerMetrics, signals: Signals, *, on_done: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._signals = signals
        self._on_done = on_done
        self._deleting = 0
        self._settled: list[Message] = []
        self._filled = asyncio.Event()
        self._full = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """How many settled messages are still in memory: with a broker that hangs they must not grow without bound."""
        return len(self._settled) + self._deleting

    def add(self, message: Message, *, last: bool) -> None:
        """Note that a message is settled: its outcome is committed. After the `last` in hand there is no lingering."""
        self._settled.append(message)
        self._filled.set()
        if last or len(self._settled) >= BATCH:
            self._full.set()

    async def run(self) -> None:
        """Delete what is added until cancelled; `flush` deletes the rest."""
        while True:
            await self._filled.wait()
            try:
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._full.wait()
            except TimeoutError:
                pass
            while len(self._calls) >= AT_ONCE:
                await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
            self._begin_call()

    async def flush(self) -> None:
        """Delete all that was added, and wait until that is done."""
        while self._settled:
            self._begin_call()
        if self._calls:
            await asyncio.wait(self._calls)

    def _begin_call(self) -> None:
        batch, self._settled = self._settled[:BATCH], self._settled[BATCH:]
        if not self._settled:
            self._filled.clear()
        if len(self._settled) < BATCH:
            self._full.clear()
        call = asyncio.create_task(self._call(batch))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, batch: list[Message]) -> None:
        self._deleting += len(batch)
        try:
            await self._delete(batch)
        finally:
            self._deleting -= len(batch)
            self._on_done()

    async def _delete(self, batch: list[Message]) -> None:
        try:
            refused = await self._queue.delete(batch)
        except BrokerUnavailable as error:
            self._metrics.failed_calls.labels("delete").inc()
            log.warning("not deleted", action="consumer.delete_failed", error=str(error), messages=len(batch))
            return
        if refused:
            self._metrics.failed_calls.labels("delete").inc(len(refused))
            log.warning("not deleted", action="consumer.delete_failed", error="refused", messages=len(refused))
        kept = {message.receipt_handle for message in refused}
        for message in batch:
            if message.receipt_handle not in kept:
                self._signals.emit("consumer.acknowledged", message_id=message.message_id)
