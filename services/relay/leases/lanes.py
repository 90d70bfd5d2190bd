"""Distributes the lanes (shards) among the relays of an outbox by leases, which expire when a relay dies.

Leases only share the work. Order depends on sending only the head of each group, whichever relay sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from uuid import UUID

import asyncpg
import structlog

from event_trio.clock import Clock
from event_trio.database.connections import DATABASE_FAULTS, Connection, Pool, transaction
from event_trio.error_text import describe
from event_trio.lifecycle import Waker
from event_trio.outbox.notifier import LANES_CHANNEL
from event_trio.signals import Signals

log = structlog.get_logger(__name__)

BEAT = """
-- beat: renew the heartbeat by the database's clock, with the length of the lease
INSERT INTO outbox_relay (relay_id, lease_seconds) VALUES ($1, $2)
ON CONFLICT (relay_id) DO UPDATE SET heartbeat_at = clock_timestamp(), lease_seconds = excluded.lease_seconds
"""

FORGET_DEAD_RELAYS = """
-- forget_dead_relays: remove relays that died long ago; their lanes are free since their lease expired
DELETE FROM outbox_relay WHERE heartbeat_at < clock_timestamp() - 10 * $1::float8 * interval '1 second'
"""

ALIVE = """
-- alive: the relays with a valid lease, and for how many seconds it is valid
SELECT relay_id, extract(epoch FROM heartbeat_at - clock_timestamp())::float8 + $1 AS remaining
FROM outbox_relay WHERE heartbeat_at > clock_timestamp() - $1::float8 * interval '1 second' ORDER BY relay_id
"""

OWNED = """
-- owned: the owner of each lane
SELECT lane, owner, token FROM outbox_lane ORDER BY lane
"""

# SKIP LOCKED applies to lanes, not to events: concurrent claims do not wait for each other.
CLAIM = """
-- claim: take lanes without a live owner
UPDATE outbox_lane SET owner = $1, token = token + 1
WHERE lane IN (
    SELECT l.lane FROM outbox_lane l
    WHERE l.owner IS NULL OR NOT l.owner = ANY ($2::uuid[])
    ORDER BY l.lane LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING lane, token
"""

HAND_OVER = """
-- hand_over: give lanes to whoever claims them next
UPDATE outbox_lane SET owner = NULL WHERE owner = $1 AND lane = ANY ($2::smallint[])
"""

LEAVE = """
-- leave: remove this relay
DELETE FROM outbox_relay WHERE relay_id = $1
"""


def share(rank: int, relays: int, lanes: int) -> int:
    """Return how many lanes the relay of that rank (from 0) owns, so that shares differ by at most one."""
    return lanes // relays + (1 if rank < lanes % relays else 0)


class Lanes:
    """The lanes of this relay: a loop that renews the lease, claims free lanes and gives up surplus ones."""

    name = "lanes"

    def __init__(
        self,
        pool: Pool,
        relay_id: UUID,
        *,
        lease_seconds: float,
        call_seconds: float,
        clock: Clock,
        busy: Callable[[int], bool],
        signals: Signals,
    ) -> None:
        self._pool = pool
        self._relay_id = relay_id
        self._lease = lease_seconds
        self._call = call_seconds
        self._clock = clock
        self._busy = busy
        self._signals = signals
        self._tokens: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._valid_until = 0.0
        self._left = False
        self._waker = Waker()
        self.trouble: str | None = "the lease is not acquired yet"
        self._callbacks: list[Callable[[set[int]], None]] = []

    def owned(self) -> list[int]:
        """Return the lanes that this relay may work on now."""
        return [lane for lane in self._tokens if self.may_send(lane)]

    def may_send(self, lane: int) -> bool:
        """Return whether a call begun now for this lane ends before another relay can claim the lane."""
        return lane in self._tokens and lane not in self._leaving and self._clock.monotonic() < self._valid_until

    def owns(self, lane: int) -> bool:
        """Return whether this relay owns the lane as far as it knows, even while giving it up."""
        return lane in self._tokens

    def token(self, lane: int) -> int:
        """Return the token under which this relay owns the lane; -1, which matches no lane, if it does not."""
        return self._tokens.get(lane, -1)

    def on_change(self, callback: Callable[[set[int]], None]) -> None:
        """Call `callback` with the lost lanes (none if lanes were only won) whenever the lanes change."""
        self._callbacks.append(callback)

    def wake(self) -> None:
        """Check the lanes now: another relay came, left or handed lanes over."""
        self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Renew the lease and balance the lanes until asked to stop. `leave` then hands the lanes over."""
        while not stopping.is_set():
            try:
                next_look = await self._beat()
                self.trouble = None
            except DATABASE_FAULTS as error:
                log.warning("cannot renew the lease", action="lanes.renewal_failed", error=describe(error))
                self.trouble = "the lease cannot be renewed: the database is unreachable or read-only"
                next_look = min(1.0, self._lease / 5)
            await self._waker.rest(stopping, next_look)

    async def leave(self) -> None:
        """Hand over all lanes, after the calls in flight have ended. A second call does nothing."""
        if self._left:
            return
        lanes = list(self._tokens)
        self._change({}, lost=set(lanes))
        try:
            async with transaction(self._pool) as connection:
                await connection.execute(HAND_OVER, self._relay_id, lanes)
                await connection.execute(LEAVE, self._relay_id)
                await connection.execute(f"NOTIFY {LANES_CHANNEL}")
        except DATABASE_FAULTS as error:
            log.warning(
                "cannot hand over the lanes; they are free when the lease expires",
                action="lanes.not_handed_over",
                error=type(error).__name__,
            )
            return
        self._left = True
        log.info("lanes handed over", action="lanes.handed_over", lanes=len(lanes))
        self._signals.emit("lanes.handed_over", relay_id=self._relay_id)

    async def _beat(self) -> float:
        """Renew the lease, claim and give up lanes; returns the seconds until the next renewal."""
        began = self._clock.monotonic()
        first = not self._tokens
        self._left = False
        async with transaction(self._pool) as connection:
            await connection.execute(BEAT, self._relay_id, self._lease)
            rows = await connection.fetch(ALIVE, self._lease)
            alive: dict[UUID, float] = {row["relay_id"]: row["remaining"] for row in rows}
            tokens, surplus = await self._balance(connection, list(alive))
            if first or surplus:
                await connection.execute(FORGET_DEAD_RELAYS, self._lease)
                await connection.execute(f"NOTIFY {LANES_CHANNEL}")
        # Counted from before the statement was sent, less the deadline of a call. A process that is suspended between
        # this line and the call may lose the lane meanwhile, which can cost a duplicate but never the order.
        self._valid_until = began + self._lease - self._call
        self._change(tokens, lost=set(self._tokens) - set(tokens))
        expiries = [remaining for relay, remaining in alive.items() if relay != self._relay_id]
        # Well before calls may no longer begin, which with long calls is soon.
        waits = [min(self._lease / 3, (self._lease - self._call) / 2), *(remaining + 0.01 for remaining in expiries)]
        if self._leaving:
            waits.append(0.05)
        return max(0.01, min(waits))

    async def _balance(self, connection: Connection, alive: list[UUID]) -> tuple[dict[int, int], list[int]]:
        rows = await connection.fetch(OWNED)
        ours = {row["lane"]: row["token"] for row in rows if row["owner"] == self._relay_id}
        fair = share(alive.index(self._relay_id), len(alive), len(rows))
        surplus = sorted(ours)[fair:]
        self._leaving = set(surplus)
        given_up = [lane for lane in surplus if not self._busy(lane)]
        if given_up:
            await connection.execute(HAND_OVER, self._relay_id, given_up)
        elif len(ours) < fair and _free(rows, alive):
            claimed = await connection.fetch(CLAIM, self._relay_id, alive, fair - len(ours))
            ours |= {row["lane"]: row["token"] for row in claimed}
        return {lane: token for lane, token in ours.items() if lane not in given_up}, given_up

    def _change(self, tokens: dict[int, int], *, lost: set[int]) -> None:
        won = set(tokens) - set(self._tokens)
        self._tokens = tokens
        self._leaving &= set(tokens)
        if won or lost:
            log.info("lanes changed", action="lanes.changed", owned=len(tokens), won=len(won), lost=len(lost))
            self._signals.emit("lanes.changed", owned=len(tokens), relay_id=self._relay_id)
            for callback in self._callbacks:
                callback(lost)


def _free(rows: Iterable[asyncpg.Record], alive: list[UUID]) -> bool:
    return any(row["owner"] is None or row["owner"] not in alive for row in rows)
