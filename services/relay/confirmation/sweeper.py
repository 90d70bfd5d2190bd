"""Finds sent events that were lost and returns them to their lanes. It never publishes itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool
from event_trio.error_text import describe
from event_trio.lifecycle import pause
from event_trio.signals import Signals

from ..metrics import RelayMetrics
from .probes import ConfirmationState, Probes
from .unconfirmed import STEP, WALK_FROM, EventRange, LossEvidence, Unconfirmed, UnconfirmedHead

log = structlog.get_logger(__name__)

# FIFO deduplication drops a repeat for at least five minutes (AWS: sns fifo-message-dedup), so nothing is lost earlier.
LOST_AFTER_SECONDS = 360.0
# This long after an event was sent it is in the check queue, and AWS's counts of that queue are accurate.
IN_QUEUE_AFTER_SECONDS = 60.0
PROBE_SECONDS = 60.0
# Each confirmed round of probes doubles the next one, up to this many.
MOST_PROBES = 512
# How often the age of the oldest unconfirmed event is measured between sweeps, for at most a small share of the time.
MEASURE_SECONDS = 30.0
SHARE = 0.05
# Runs of events examined of one group in one sweep.
MOST_RUNS = 50


@dataclass(frozen=True, slots=True)
class SweepThresholds:
    """In seconds: between sweeps, until an event may be lost, until it must be in the check queue, for a probe."""

    sweep: float = 300.0
    lost_after: float = LOST_AFTER_SECONDS
    in_queue_after: float = IN_QUEUE_AFTER_SECONDS
    probe: float = PROBE_SECONDS


class Sweeper:
    """Treats an event as lost only with proof, because a slow publish check is no loss.

    A loss is proven by a confirmed later event of the group, or by a check queue that was empty after the event must
    have been in it, while the check works. Without proof the oldest event is sent again, as a probe. While no event is
    confirmed after a probe, the check itself is broken, and only probes are sent.
    """

    name = "sweeper"

    def __init__(
        self,
        pool: Pool,
        thresholds: SweepThresholds,
        *,
        may_sweep: Callable[[], bool],
        metrics: RelayMetrics,
        signals: Signals,
        on_returned: Callable[[], None],
        queue_empty_for: Callable[[], float | None] = lambda: None,
        can_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """`queue_empty_for` returns how long ago the check queue was certainly empty, in seconds, or None if unknown.

        `can_send` tells whether the relay could send a probe at all.
        """
        self._unconfirmed = Unconfirmed(pool)
        self._probes = Probes(pool)
        self._thresholds = thresholds
        self._may_sweep = may_sweep
        self._metrics = metrics
        self._signals = signals
        self._on_returned = on_returned
        self._queue_empty_for = queue_empty_for
        self._can_send = can_send
        self._awaits_proof = False
        self.trouble: str | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep periodically until asked to stop; more often while a probe is outstanding or events await proof."""
        next_sweep = 0.0
        while not stopping.is_set():
            began = time.monotonic()
            try:
                if not self._may_sweep():
                    self._metrics.confirmation_lag.set(0)
                elif began >= next_sweep:
                    next_sweep = began + self._thresholds.sweep
                    await self.sweep()
                    if self._awaits_proof:
                        next_sweep = min(next_sweep, time.monotonic() + self._thresholds.probe / 4)
                else:
                    await self.measure()
            except DATABASE_FAULTS as error:
                log.warning("cannot sweep", action="sweeper.failed", error=describe(error))
            now = time.monotonic()
            rest = min(MEASURE_SECONDS, max(0.0, next_sweep - now), self._thresholds.sweep)
            await pause(stopping, max(rest, (now - began) / SHARE, 0.05))

    async def measure(self) -> float:
        """Return the age of the oldest sent and unconfirmed event of all groups, in seconds."""
        oldest, after = 0.0, WALK_FROM
        while True:
            heads = await self._unconfirmed.heads(after)
            oldest = max([oldest, *(head.age for head in heads.found)])
            if heads.next is None:
                break
            after = heads.next
        self._metrics.confirmation_lag.set(oldest)
        return oldest

    async def sweep(self) -> int:
        """One sweep; returns how many events went back to their lane."""
        state = await self._probes.state()
        may_go = await self._evaluate_probes(state)
        unseen_until = self._unseen_until(state)
        lost, oldest, after = 0, 0.0, WALK_FROM
        candidates: list[UnconfirmedHead] = []
        while True:
            heads = await self._unconfirmed.heads(after)
            oldest = max([oldest, *(head.age for head in heads.found)])
            overdue = [head for head in heads.found if head.age >= self._thresholds.lost_after]
            ranges, unproven = await self._look_for_proof(overdue, unseen_until)
            lost += await self._return_lost(ranges)
            candidates = sorted([*candidates, *unproven], key=lambda head: head.sent_at)[:MOST_PROBES]
            if heads.next is None:
                break
            after = heads.next
        self._metrics.confirmation_lag.set(oldest)
        probes = (
            await self._send_probes(candidates[:may_go]) if may_go and not state.stopped and self._can_send() else 0
        )
        self._awaits_proof = bool(candidates or probes or (state.probes and not may_go))
        if lost or probes:
            self._on_returned()
        self._signals.emit("sweeper.swept", returned=lost + probes, lost=lost, probes=probes)
        return lost + probes

    async def _evaluate_probes(self, state: ConfirmationState) -> int:
        """Evaluate the last probes; returns how many probes may be sent now.

        A probe that cannot be sent, because its group was held or its lane has no relay, is not waited for. A probe
        that is no longer in the outbox does not prove that the check works.
        """
        probe_seconds = self._thresholds.probe
        self._report(broken=state.since_broken is not None)
        if (
            state.since_broken is not None
            and state.since_confirmation is not None
            and state.since_confirmation < state.since_broken
        ):
            await self._set_broken(broken=False)
        if not state.probes or not (state.outstanding or state.returned):
            return 1
        if not state.outstanding:
            await self._probes.save([])
            await self._set_broken(broken=False)
            return min(2 * state.probes, MOST_PROBES)
        if state.oldest_outstanding is None:
            return 0 if state.since_probes is not None and state.since_probes < probe_seconds else 1
        if state.oldest_outstanding < probe_seconds:
            return 0
        if state.since_confirmation is not None and state.since_confirmation < state.oldest_outstanding:
            # Other events were confirmed: the check works and is slow, or the probe was lost, too.
            await self._probes.save([])
            return state.probes // 2 if state.returned > state.outstanding else 0
        await self._set_broken(broken=True)
        return 1

    def _unseen_until(self, state: ConfirmationState) -> datetime | None:
        """Return the time until which unconfirmed events are lost because the queue was empty later; None if unknown.

        While the check is broken, an empty queue proves nothing: an event sent later must have been confirmed.
        """
        queue_empty_for = self._queue_empty_for()
        if queue_empty_for is None or state.since_broken is not None or state.confirmed_sent_at is None:
            return None
        return min(
            state.confirmed_sent_at, state.now - timedelta(seconds=queue_empty_for + self._thresholds.in_queue_after)
        )

    async def _look_for_proof(
        self, overdue: Sequence[UnconfirmedHead], unseen_until: datetime | None
    ) -> tuple[list[EventRange], list[UnconfirmedHead]]:
        """Return the proven losses of these groups, and the heads of groups with possible losses."""
        ranges: list[EventRange] = []
        candidates: list[UnconfirmedHead] = []
        looking = [(head, head.sequence) for head in overdue]
        for run in range(MOST_RUNS):
            if not looking:
                break
            heads, starts = [head for head, _ in looking], [start for _, start in looking]
            found = await self._unconfirmed.evidence(heads, starts)
            looking = []
            for head, start, evidence in zip(heads, starts, found, strict=True):
                if evidence.proof is not None and evidence.proof >= head.sent_at:
                    ranges.append(EventRange(head, head.sequence, evidence.proven, evidence.proof))
                elif unseen_until is not None and head.sent_at <= unseen_until:
                    ranges.append(EventRange(head, start, evidence.last, unseen_until))
                elif run == 0 and self._may_be_lost(evidence):
                    candidates.append(head)
                if evidence.goes_on and evidence.last_sent is not None:
                    looking.append((head, evidence.last + 1))
        proven = {span.head.event_id for span in ranges}
        return ranges, [head for head in candidates if head.event_id not in proven]

    def _may_be_lost(self, evidence: LossEvidence) -> bool:
        """A group with recent confirmations has lost nothing; in a held group a probe could not be sent."""
        moves = evidence.moved is not None and evidence.moved < self._thresholds.lost_after
        return not moves and not evidence.held

    async def _return_lost(self, ranges: Sequence[EventRange]) -> int:
        returned = 0
        while ranges:
            lost = await self._unconfirmed.give_back(ranges, lost_after=self._thresholds.lost_after)
            returned += len(lost)
            self._metrics.republished.labels(reason="lost").inc(len(lost))
            for event_id in lost:
                log.warning("event lost by the broker; it is sent again", action="sweeper.lost", event_id=str(event_id))
                self._signals.emit("sweeper.lost", event_id=event_id)
            if len(lost) < STEP:
                break
        return returned

    async def _send_probes(self, heads: Sequence[UnconfirmedHead]) -> int:
        if not heads:
            return 0
        ranges = [EventRange(head, head.sequence, head.sequence, head.sent_at) for head in heads]
        probes = await self._unconfirmed.give_back(ranges, lost_after=self._thresholds.lost_after)
        await self._probes.save(probes)
        self._metrics.republished.labels(reason="probe").inc(len(probes))
        for probe in probes:
            log.warning(
                "no proof of a loss; the event is sent again as a probe", action="sweeper.probe", event_id=str(probe)
            )
        return len(probes)

    async def _set_broken(self, *, broken: bool) -> None:
        await self._probes.save_broken(broken)
        self._report(broken=broken)

    def _report(self, *, broken: bool) -> None:
        trouble = "the publish check is broken: sent events are not confirmed" if broken else None
        if trouble and self.trouble is None:
            log.error(trouble, action="sweeper.check_broken")
        self.trouble = trouble
        self._metrics.check_broken.set(1 if broken else 0)
