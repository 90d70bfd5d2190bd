"""Receives notifications of new events: LISTEN on a connection of its own, with a probe that detects its failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg
import structlog

from event_trio.backoff import Backoff
from event_trio.database.connections import DATABASE_FAULTS, Pool, connect, transaction
from event_trio.lifecycle import pause
from event_trio.outbox.notifier import CHANNEL, LANES_CHANNEL
from event_trio.signals import Signals

log = structlog.get_logger(__name__)

PROBE_EVERY_SECONDS = 15.0
PROBE_ANSWER_SECONDS = 5.0
RETRY = Backoff(first=0.2, factor=2, cap=10.0, jitter=0.5)


class OutboxListener:
    """Wakes the relay when an event was committed.

    LISTEN needs a session, which a transaction-mode pooler does not provide, so it may have a URL of its own. The probe
    is a NOTIFY to itself from another connection, because a pooler or a half-open connection accepts LISTEN but
    delivers nothing, except perhaps the notifications of the connection itself.
    """

    name = "listener"

    def __init__(
        self,
        url: str,
        relay_id: UUID,
        pool: Pool,
        *,
        on_event: Callable[[], None],
        on_lanes: Callable[[], None],
        owns: Callable[[int], bool] = lambda _: True,
        signals: Signals,
        probe_every: float = PROBE_EVERY_SECONDS,
    ) -> None:
        """`owns` tells whether a lane is this relay's; a notification may name the lanes that have news."""
        self._url = url
        self._pool = pool
        self._probe_channel = f"outbox_probe_{relay_id.hex}"
        self._on_event = on_event
        self._on_lanes = on_lanes
        self._owns = owns
        self._signals = signals
        self._probe_every = probe_every
        self._answered = asyncio.Event()
        self.trouble: str | None = "not connected yet"

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until asked to stop. Without a connection the relay still polls."""
        failures = 0
        while not stopping.is_set():
            try:
                connection = await connect(self._url, command_timeout=PROBE_ANSWER_SECONDS)
            except DATABASE_FAULTS as error:
                failures += 1
                self.trouble = f"no connection to listen on: {type(error).__name__}"
                await pause(stopping, RETRY.delay(failures))
                continue
            try:
                await self._listen(connection, stopping)
                failures = 0
            except DATABASE_FAULTS as error:
                failures += 1
                self.trouble = f"notifications are not received: {type(error).__name__}"
                log.warning(
                    "notifications are not received; the relay polls",
                    action="listener.not_receiving",
                    error=type(error).__name__,
                )
                await pause(stopping, RETRY.delay(failures))
            finally:
                connection.terminate()

    async def _listen(self, connection: asyncpg.Connection[asyncpg.Record], stopping: asyncio.Event) -> None:
        await connection.add_listener(CHANNEL, lambda *received: self._notify(str(received[3])))
        await connection.add_listener(LANES_CHANNEL, lambda *_: self._on_lanes())
        await connection.add_listener(self._probe_channel, lambda *_: self._answered.set())
        while not stopping.is_set():
            self._answered.clear()
            async with transaction(self._pool) as other:
                await other.execute(f"NOTIFY {self._probe_channel}")
            async with asyncio.timeout(PROBE_ANSWER_SECONDS):
                await self._answered.wait()
            if self.trouble is not None:
                self.trouble = None
                self._signals.emit("listener.listening")
                # Events committed before the LISTEN are read now.
                self._notify()
            await pause(stopping, self._probe_every)

    def _notify(self, lanes: str = "") -> None:
        if lanes and not any(self._owns(int(lane)) for lane in lanes.split(",") if lane.isdecimal()):
            return
        self._signals.emit("listener.notified")
        self._on_event()
