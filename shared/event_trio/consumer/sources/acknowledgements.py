"""Deletes completed messages from the queue, after the commit of their outcome."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from ...backoff import Backoff
from ...broker.source import BATCH, Message, MessageSource, RejectedMessage
from ...clock import Clock
from ...errors import BrokerUnavailable
from ...signals import Signals
from ..errors import describe
from ..metrics import ConsumerMetrics

log = structlog.get_logger(__name__)

LINGER_SECONDS = 0.2
"""The longest time that a message waits: for a call under way, or while busy for others to fill its batch."""
AT_ONCE = 4
"""Concurrent delete calls."""
AGAIN = Backoff(first=0.1, factor=2.0, cap=5.0, jitter=0.5)


@dataclass(slots=True)
class _Completed:
    message: Message
    valid_until: float
    """Until when its receipt handle is valid, in monotonic seconds."""
    added_at: float
    failures: int = 0


class Acknowledgements:
    """Messages whose outcome is committed, on their way out of the queue.

    Until all messages of a group that are in flight are deleted, the broker withholds what follows in it. So the last
    of them is deleted at once, and the others with it, unless a call is under way: what gathers meanwhile is the next
    batch. Only while more groups are ready than may run (`busy`) is it better to fill a batch first: what follows would
    have to wait here anyway.

    A delete that fails is repeated while the receipt handle holds. After that the message is delivered once more, and
    the inbox settles it.
    """

    def __init__(
        self,
        queue: MessageSource,
        metrics: ConsumerMetrics,
        clock: Clock,
        signals: Signals,
        *,
        busy: Callable[[], bool],
        on_done: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._signals = signals
        self._busy = busy
        self._on_done = on_done
        self._deleting = 0
        self._completed: deque[_Completed] = deque()
        self._urgent = False
        self._later: list[tuple[float, int, _Completed]] = []
        self._numbers = itertools.count()
        self._is_running = False
        self._check_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """How many completed messages are in memory. They count against the capacity of the consumer."""
        return len(self._completed) + len(self._later) + self._deleting

    def add(self, message: Message, *, valid_until: float, last: bool) -> None:
        """Add a message whose outcome is committed. The `last` in memory of its group is deleted soon."""
        self._completed.append(_Completed(message, valid_until, self._clock.monotonic()))
        self._urgent |= last

    def nudge(self) -> None:
        """Check again whether to delete: the slots that completed messages freed are taken."""
        if self._completed and not self._check_is_due:
            # Not at once: what is added at the same time belongs to the same batch.
            self._check_is_due = True
            asyncio.get_running_loop().call_soon(self._advance)

    async def run(self) -> None:
        """Delete what is added until cancelled; `flush` deletes the rest."""
        self._is_running = True
        self._advance()
        try:
            await asyncio.Event().wait()
        finally:
            self._is_running = False
            self._stop_timer()

    async def flush(self, *, within: float) -> None:
        """Delete all that was added. Failed deletes are repeated for so many seconds; the rest is delivered again."""
        deadline = self._clock.monotonic() + within
        while self._completed or self._calls or self._later:
            while self._completed:
                self._begin_call()
            if self._calls:
                await asyncio.wait(self._calls)
                continue
            due = self._later[0][0]
            if due >= deadline:
                return
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
            self._take_what_is_due(due)

    def _advance(self) -> None:
        self._check_is_due = False
        if not self._is_running:
            return
        now = self._clock.monotonic()
        self._take_what_is_due(now)
        while self._may_call(now):
            self._begin_call()
        self._set_timer(now)

    def _may_call(self, now: float) -> bool:
        if not self._completed or len(self._calls) >= AT_ONCE:
            return False
        if len(self._completed) >= BATCH or now >= self._completed[0].added_at + LINGER_SECONDS:
            return True
        return self._urgent and not self._calls and not self._busy()

    def _take_what_is_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._completed.appendleft(heapq.heappop(self._later)[2])
            self._urgent = True

    def _set_timer(self, now: float) -> None:
        """Check again when a failed delete is due, or when what waits for a batch has waited long enough."""
        times = [self._later[0][0]] if self._later else []
        if self._completed and len(self._calls) < AT_ONCE:
            times.append(self._completed[0].added_at + LINGER_SECONDS)
        if not times or (self._timer is not None and self._timer_at <= min(times)):
            return
        self._stop_timer()
        self._timer_at = min(times)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._timer_at - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._advance()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin_call(self) -> None:
        batch = [self._completed.popleft() for _ in range(min(BATCH, len(self._completed)))]
        self._urgent &= bool(self._completed)
        call = asyncio.create_task(self._call(batch))
        self._calls.add(call)
        call.add_done_callback(self._called)

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._advance()

    async def _call(self, batch: Sequence[_Completed]) -> None:
        self._deleting += len(batch)
        try:
            failed = await self._delete(batch)
        finally:
            self._deleting -= len(batch)
            self._on_done()
        self._repeat(failed)

    async def _delete(self, batch: Sequence[_Completed]) -> list[_Completed]:
        """Returns those whose delete may be repeated."""
        try:
            refused = await self._queue.delete([completed.message for completed in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, they are still in the queue
            text = str(error) if isinstance(error, BrokerUnavailable) else describe(error)
            self._metrics.failed_calls.labels("delete").inc()
            log.warning("not deleted", action="consumer.delete_failed", error=text, messages=len(batch))
            return list(batch)
        if refused:
            self._metrics.failed_calls.labels("delete").inc(len(refused))
            codes = sorted({message.code if isinstance(message, RejectedMessage) else "refused" for message in refused})
            log.warning("not deleted", action="consumer.delete_failed", error=", ".join(codes), messages=len(refused))
        kept = {message.receipt_handle for message in refused}
        stale = {
            message.receipt_handle for message in refused if isinstance(message, RejectedMessage) and message.is_stale
        }
        for completed in batch:
            if completed.message.receipt_handle not in kept:
                self._signals.emit("consumer.acknowledged", message_id=completed.message.message_id)
        return [completed for completed in batch if completed.message.receipt_handle in kept - stale]

    def _repeat(self, failed: Sequence[_Completed]) -> None:
        # The same jitter for all, so that they form a batch again.
        now, jitter = self._clock.monotonic(), AGAIN.random()
        for completed in failed:
            completed.failures += 1
            due = now + AGAIN.delay(completed.failures, jitter)
            if due < completed.valid_until:
                heapq.heappush(self._later, (due, next(self._numbers), completed))
