"""Follows the write-ahead log: takes the slot, announces the groups that changed, and confirms what is dealt with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool
from event_trio.database.url import parse
from event_trio.error_text import describe
from event_trio.lifecycle import Waker
from event_trio.signals import Signals

from ..leases.lane_hash import lane_of
from ..metrics import RelayMetrics
from . import slots
from .pgoutput import UnknownFormat
from .replication import ReplicationConnection, ReplicationFailed
from .slots import SlotObservation
from .source_state import SourceState, SourceStatus
from .stream import SlotStream

log = structlog.get_logger(__name__)

# A relay that stands by, or cannot read the slot, looks again so soon.
LOOK_AGAIN_SECONDS = 1.0
# What a server answers that does not let this role read the log: a class of codes, and one of another class.
REFUSED = (asyncpg.InvalidAuthorizationSpecificationError.sqlstate[:2], asyncpg.InsufficientPrivilegeError.sqlstate)


@dataclass(frozen=True, slots=True)
class SourceLinks:
    """What the source tells others, and what it asks them."""

    owns: Callable[[int], bool]
    """Whether this relay owns a lane."""
    has_lease: Callable[[], bool]
    """Whether this relay is known as alive to the others."""
    announce: Callable[[Sequence[str]], None]
    """Called with groups of this relay's lanes that changed."""
    pass_on: Callable[[set[int]], None]
    """Called with lanes of other relays whose groups changed."""
    read_everything: Callable[[], None]
    """Called when the log began or ended to be read: what it did not show is in the table."""


class WalSource:
    """The log as a source beside the table. The relay that holds the slot reads it; the others stand by.

    The table stays the truth: the log only tells which groups to read. Whatever ends the stream, the relay polls.
    """

    name = "wal"

    def __init__(
        self,
        pool: Pool,
        url: str,
        relay_id: UUID,
        *,
        slot: str,
        links: SourceLinks,
        confirmed_wakes: bool,
        metrics: RelayMetrics,
        signals: Signals,
    ) -> None:
        """`url` is that of a role with REPLICATION. With `confirmed_wakes` a confirmation lets a group be read."""
        self._pool = pool
        self._url = url
        self._relay_id = relay_id
        self._slot = slot
        self._links = links
        self._confirmed_wakes = confirmed_wakes
        self._metrics = metrics
        self._signals = signals
        self._waker = Waker()
        self.status = SourceStatus(SourceState.STARTING, "the slot was not looked at yet")

    @property
    def current(self) -> bool:
        """Whether every change of the outbox is announced now."""
        return self.status.state is SourceState.STREAMING

    def wake(self) -> None:
        """Look at the slot now: another relay may have left it."""
        self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Read the log while this relay can have the slot, until asked to stop."""
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                reading = asyncio.create_task(self._read_while_possible())
                await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                if not stopping.is_set():
                    if not reading.cancelled():
                        reading.result()
                    await self._waker.rest(stopping, LOOK_AGAIN_SECONDS)
        finally:
            stop.cancel()

    async def _read_while_possible(self) -> None:
        """Take the slot and read it until that fails; the status says why."""
        streamed = False
        try:
            if await self._may_take_slot():
                connection = await ReplicationConnection.open(parse(self._url), self._relay_id)
                try:
                    await connection.start(self._slot, slots.PUBLICATION)
                    streamed = True
                    await self._stream(connection)
                finally:
                    await connection.close()
        except DATABASE_FAULTS as error:
            self._become(SourceStatus(SourceState.UNREACHABLE, f"the slot cannot be looked at: {describe(error)}"))
        except UnknownFormat as error:
            self._become(SourceStatus(SourceState.PUBLICATION_MISSING, str(error)))
        except ReplicationFailed as error:
            await self._explain(error)
        finally:
            if streamed:
                self._links.read_everything()

    async def _may_take_slot(self) -> bool:
        seen = await slots.look(self._pool, self._slot)
        self._measure(seen)
        if obstacle := seen.obstacle(self._slot):
            self._become(self._status(*obstacle, seen))
        elif not self._links.has_lease():
            # Another relay would take this one for dead.
            self._become(self._status(SourceState.STARTING, "this relay has no lease yet", seen))
        elif seen.active_pid is None:
            return True
        elif not seen.held_by_relay:
            holder = f"process {seen.active_pid} ({seen.holder or 'without a name'})"
            text = f"the replication slot {self._slot} is in use by {holder}, which is no relay"
            self._become(self._status(SourceState.SLOT_TAKEN, text, seen))
        elif seen.holder_lives and seen.holder != slots.application_name(self._relay_id):
            self._become(self._status(SourceState.STANDBY, None, seen))
        else:
            log.warning(
                "the relay that holds the slot has no lease; its connection is ended", action="wal.holder_ended"
            )
            await slots.terminate(self._url, seen.active_pid)
            self._waker.wake()
        return False

    async def _stream(self, connection: ReplicationConnection) -> None:
        stream = SlotStream(connection, self._pool, self._announce, self._confirmed_wakes, self._metrics)
        # Events from before the slot, or passed by another reader of it, are in the table only.
        self._links.read_everything()
        while True:
            seen = await slots.look(self._pool, self._slot)
            self._measure(seen)
            if obstacle := seen.obstacle(self._slot):
                self._become(self._status(*obstacle, seen))
                return
            late = stream.lag(seen.position)
            state = SourceState.STREAMING if late is None else SourceState.BEHIND
            self._become(self._status(state, late, seen))
            await stream.follow()

    def _announce(self, subjects: Sequence[str]) -> None:
        ours = [subject for subject in subjects if self._links.owns(lane_of(subject))]
        others = {lane_of(subject) for subject in set(subjects).difference(ours)}
        if ours:
            self._links.announce(ours)
        if others:
            self._links.pass_on(others)
        self._signals.emit("wal.announced", groups=len(subjects), passed_on=len(others))

    async def _explain(self, failure: ReplicationFailed) -> None:
        """Find out why the slot cannot be read, from its state where that tells more than the error."""
        code = failure.sqlstate or ""
        if code.startswith(REFUSED):
            self._become(SourceStatus(SourceState.REFUSED, f"this role may not read the log: {failure}"))
            return
        if code == asyncpg.ObjectInUseError.sqlstate:
            # Another reader was faster; the next look finds out who.
            self._waker.wake()
            return
        try:
            seen = await slots.look(self._pool, self._slot)
        except DATABASE_FAULTS:
            self._become(SourceStatus(SourceState.UNREACHABLE, f"the log cannot be read: {failure}"))
            return
        found = seen.obstacle(self._slot) or (SourceState.UNREACHABLE, f"the log cannot be read: {failure}")
        self._become(self._status(*found, seen))

    def _measure(self, seen: SlotObservation) -> None:
        self._metrics.wal_kept.set(seen.kept or 0)
        self._metrics.wal_unconfirmed.set(seen.unconfirmed or 0)
        self._signals.emit("wal.looked")

    def _status(self, state: SourceState, detail: str | None, seen: SlotObservation) -> SourceStatus:
        return SourceStatus(state, detail, seen.kept, seen.unconfirmed, seen.safe, seen.failover)

    def _become(self, status: SourceStatus) -> None:
        before, self.status = self.status, status
        for state in SourceState:
            self._metrics.wal_state.labels(state=state.value).set(state is status.state)
        if before.state is status.state:
            return
        report = log.warning if status.trouble else log.info
        report("the source changed", action="wal.state", state=status.state.value, detail=status.detail)
        self._signals.emit("wal.state", state=status.state.value)
