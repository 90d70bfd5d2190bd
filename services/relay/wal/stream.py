"""Reads one stream of the slot: changes become announcements, and what is recorded as sent is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from event_trio.database.connections import Pool

from ..metrics import RelayMetrics
from . import slots
from .pgoutput import Begin, ChangeDecoder, Commit, Keepalive, OutboxChange
from .replication import ReplicationConnection
from .slot_position import SlotPosition
from .unseen_changes import UnseenChanges

# So many unsent events are followed. Above this, reading pauses until some are sent, and the table is polled.
MOST_UNSENT = 50_000
# The slot is looked at so often; a stream that has not reached the end of the log of the look before is behind.
LOOK_SECONDS = 2.0
# While reading pauses, room is looked for so often.
PAUSE_SECONDS = 0.05
# After an announcement changes are gathered for so long, because one read of the outbox serves many commits.
GATHER_SECONDS = 0.005
# While a committed change is not visible yet, it is looked for after the first of these times, and then less often.
LOOK_FOR_SECONDS = 0.002
LOOK_FOR_LONGEST_SECONDS = 0.1
# Confirmations are sent at most so often, and at least every ten seconds, before wal_sender_timeout.
CONFIRM_SECONDS = 0.5
CONFIRM_LATEST_SECONDS = 10.0
# The table is asked about so many events whose record the log has not shown.
ASKED = 5000


class SlotStream:
    """One stream, from the confirmed position of the slot on."""

    def __init__(
        self,
        connection: ReplicationConnection,
        pool: Pool,
        announce: Callable[[Sequence[str]], None],
        confirmed_wakes: bool,
        metrics: RelayMetrics,
    ) -> None:
        """`announce` is called with groups whose changes are committed and visible, in the order of the commits."""
        self._connection = connection
        self._pool = pool
        self._announce = announce
        self._confirmed_wakes = confirmed_wakes
        self._metrics = metrics
        self._decoder = ChangeDecoder()
        self._position = SlotPosition(MOST_UNSENT)
        self._changed = UnseenChanges()
        self._xid = 0
        self._look_for_seconds = LOOK_FOR_SECONDS
        self._target: int | None = None
        self._oldest: list[int] = []
        self._confirmed = 0
        self._confirmed_at = float("-inf")
        self._asked_to_reply = False

    def lag(self, end: int) -> str | None:
        """Why the stream is behind, or None. `end` is the end of the log now, and the measure of the next call."""
        target, self._target = self._target, end
        if self._position.full:
            return f"reading of the log pauses, because {self._position.unsent} events are not sent"
        if target is None or self._position.received >= target:
            return None
        return f"the log is read late, by {(target - self._position.received) / 2**20:.1f} MiB"

    async def follow(self) -> None:
        """Read for as long as a look at the slot stays valid. Raises ReplicationFailed, UnknownFormat."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LOOK_SECONDS
        await self._settle_forgotten()
        await self._confirm(reply=True)
        while (left := until - loop.time()) > 0:
            if self._position.full:
                await asyncio.sleep(PAUSE_SECONDS)
            elif await self._connection.readable(min(left, self._look_for_seconds) if self._changed else left):
                self._read()
            if self._changed and await self._announce_visible():
                await asyncio.sleep(GATHER_SECONDS)
            await self._confirm()

    def _read(self) -> None:
        """Handle what has arrived."""
        for data in self._connection.received():
            match self._decoder.decode(data):
                case Keepalive(position, reply):
                    self._position.keepalive(position)
                    self._asked_to_reply = self._asked_to_reply or reply
                case Begin(xid):
                    self._xid = xid
                    self._position.begin()
                case Commit(end):
                    self._position.commit(end)
                case OutboxChange() as change:
                    self._position.found(change.id, unsent=change.unsent)
                    self._metrics.wal_changes.inc()
                    if change.unsent or (self._confirmed_wakes and change.published):
                        self._changed.add((change.subject,), self._xid)
                case _:
                    pass

    async def _announce_visible(self) -> bool:
        """Announce the changed groups that a read of the table finds now; returns whether there were any."""
        visible = self._changed.take(await slots.snapshot(self._pool))
        if visible:
            self._announce(visible)
        self._look_for_seconds = (
            min(2 * self._look_for_seconds, LOOK_FOR_LONGEST_SECONDS)
            if self._changed and not visible
            else LOOK_FOR_SECONDS
        )
        return bool(visible)

    async def _settle_forgotten(self) -> None:
        """Settle events that are no longer in the table, or whose record a paused stream has not shown."""
        oldest = self._position.oldest(ASKED)
        if oldest and (self._position.full or oldest[0] in self._oldest):
            unsent = await slots.still_unsent(self._pool, oldest)
            self._position.settle(set(oldest) - unsent)
        self._oldest = oldest[:1]

    async def _confirm(self, *, reply: bool = False) -> None:
        """Confirm what is dealt with, if that is due; with `reply` in any case, and the server answers."""
        now = asyncio.get_running_loop().time()
        moved = self._position.confirmed > self._confirmed
        due = now - self._confirmed_at >= (CONFIRM_SECONDS if moved else CONFIRM_LATEST_SECONDS)
        if due or reply or self._asked_to_reply:
            self._confirmed, self._confirmed_at, self._asked_to_reply = self._position.confirmed, now, False
            await self._connection.confirm(self._confirmed, reply=reply)
