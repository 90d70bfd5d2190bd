"""Tells the relay that something was committed; polling finds it anyway, so a bell that fails costs only time."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from ..database.connections import CONNECT_SECONDS, DATABASE_FAULTS, connect
from ..lifecycle import pause

log = structlog.get_logger(__name__)

CHANNEL = "outbox"
# On this one relays tell each other that lanes are to be had.
LANES_CHANNEL = "outbox_lanes"
GAP_SECONDS = 0.05
"""The least between two rings. Each is a transaction, and a read by the relay: under load one serves many commits."""
RETRY_SECONDS = 5.0


class OutboxNotifier:
    """Sends NOTIFY after commits, on a connection of its own: the first at once, then at most twenty a second.

    Inside the business transaction a NOTIFY takes a lock on the whole instance through the commit
    (PostgreSQL source: PreCommit_Notify), which serialises all committing transactions.
    """

    name = "notifier"

    def __init__(self, url: str) -> None:
        self._url = url
        self._requested = asyncio.Event()

    def notify(self) -> None:
        """Say that an event was committed. Call it after the commit; it never waits and never fails."""
        self._requested.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Pass rings on until asked to stop."""
        while not stopping.is_set():
            try:
                connection = await connect(self._url)
            except DATABASE_FAULTS as error:
                log.warning(
                    "the doorbell has no connection", action="notifier.disconnected", error=type(error).__name__
                )
                await pause(stopping, RETRY_SECONDS)
                continue
            try:
                await self._pass_on(connection, stopping)
            except DATABASE_FAULTS as error:
                log.warning(
                    "the doorbell lost its connection", action="notifier.disconnected", error=type(error).__name__
                )
            finally:
                connection.terminate()

    async def _pass_on(self, connection: asyncpg.Connection[asyncpg.Record], stopping: asyncio.Event) -> None:
        stop = asyncio.create_task(stopping.wait())
        try:
            while True:
                request = asyncio.create_task(self._requested.wait())
                await asyncio.wait({request, stop}, return_when=asyncio.FIRST_COMPLETED)
                request.cancel()
                if not self._requested.is_set():
                    return
                self._requested.clear()
                await connection.execute(f"NOTIFY {CHANNEL}", timeout=CONNECT_SECONDS)
                await pause(stopping, GAP_SECONDS)
        finally:
            stop.cancel()
