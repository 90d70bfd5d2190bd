"""Notifies relays of committed events. Polling finds them anyway, so a failed notification costs only time."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from ..database.connections import CONNECT_SECONDS, DATABASE_FAULTS, connect
from ..lifecycle import pause

log = structlog.get_logger(__name__)

CHANNEL = "outbox"
# The channel on which relays announce free lanes and requested jobs.
LANES_CHANNEL = "outbox_lanes"
LEAST_PAUSE_SECONDS = 0.002
"""The least pause after a notification. Each causes a read by the relay, so under load one serves many commits."""
LONGEST_PAUSE_SECONDS = 0.05
RETRY_SECONDS = 5.0


class OutboxNotifier:
    """Sends NOTIFY after commits on a connection of its own: the first at once, the next after a pause.

    The pause is as long as the notification before it took, so that a slow server gets fewer.

    A NOTIFY inside the business transaction would lock the whole instance through the commit (PostgreSQL source:
    PreCommit_Notify), which serializes all committing transactions.
    """

    name = "notifier"

    def __init__(self, url: str) -> None:
        self._url = url
        self._requested = asyncio.Event()

    def notify(self) -> None:
        """Request a notification. Call it after the commit; it never waits and never fails."""
        self._requested.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send requested notifications until asked to stop."""
        while not stopping.is_set():
            try:
                connection = await connect(self._url)
            except DATABASE_FAULTS as error:
                log.warning(
                    "cannot connect to send notifications", action="notifier.disconnected", error=type(error).__name__
                )
                await pause(stopping, RETRY_SECONDS)
                continue
            try:
                await self._pass_on(connection, stopping)
            except DATABASE_FAULTS as error:
                log.warning(
                    "lost the connection for notifications", action="notifier.disconnected", error=type(error).__name__
                )
            finally:
                connection.terminate()

    async def _pass_on(self, connection: asyncpg.Connection[asyncpg.Record], stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.create_task(stopping.wait())
        try:
            while True:
                request = asyncio.create_task(self._requested.wait())
                await asyncio.wait({request, stop}, return_when=asyncio.FIRST_COMPLETED)
                request.cancel()
                if not self._requested.is_set():
                    return
                self._requested.clear()
                began = loop.time()
                await connection.execute(f"NOTIFY {CHANNEL}", timeout=CONNECT_SECONDS)
                await pause(stopping, min(LONGEST_PAUSE_SECONDS, max(LEAST_PAUSE_SECONDS, loop.time() - began)))
        finally:
            stop.cancel()
