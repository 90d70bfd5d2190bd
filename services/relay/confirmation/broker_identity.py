"""Detects a recreated broker, whose undelivered messages are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import structlog

from event_trio.backoff import Backoff
from event_trio.database.connections import DATABASE_FAULTS, Connection, Pool, transaction
from event_trio.errors import BrokerUnavailable
from event_trio.lifecycle import Waker, pause
from event_trio.signals import Signals

from ..audit_log import Decision, record
from ..jobs.replay_requests import Criteria, request

log = structlog.get_logger(__name__)

RETRY = Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5)
REST_SECONDS = 60.0
FAULTS: tuple[type[BaseException], ...] = (BrokerUnavailable, KeyError, *DATABASE_FAULTS)

REMEMBERED = """
-- remembered: the known broker, and a new one that waits for an operator
SELECT broker, broker_seen FROM outbox_control
"""

REMEMBERED_LOCKED = f"{REMEMBERED}FOR UPDATE\n"

REMEMBER = """
-- remember: the known broker
UPDATE outbox_control SET broker = $1, broker_seen = NULL, broker_seen_at = NULL, broker_seen_by = NULL
"""

REPORT = """
-- report: a new broker, which waits for an operator's decision
UPDATE outbox_control SET broker_seen = $1, broker_seen_at = clock_timestamp(), broker_seen_by = $2
"""


class BrokerIdentity:
    """Compares the publish-check queue's time of creation with the one stored in the outbox.

    LocalStack keeps nothing over a restart, so there everything in the outbox is replayed automatically, and inboxes
    drop the duplicates. On AWS somebody has recreated the queue, and an operator decides what is replayed
    (`replay --since`), or that nothing is (`accept-broker`); until then the finding is stored for all relays. Times of
    creation only grow: an earlier one means that this relay is connected to another broker than the other relays.
    """

    name = "broker-identity"

    def __init__(
        self,
        pool: Pool,
        created: Callable[[], Awaitable[str | None]],
        *,
        relay_id: UUID,
        automatic: bool,
        on_new: Callable[[], None],
        signals: Signals,
    ) -> None:
        """`created` returns when the publish check was created, or None if that is not known."""
        self._pool = pool
        self._created = created
        self._relay_id = relay_id
        self._automatic = automatic
        self._on_new = on_new
        self._signals = signals
        self._waker = Waker()
        self._must_check = True
        self.trouble: str | None = None

    def recheck(self) -> None:
        """Identify the broker again, because the publish check was unavailable."""
        if not self._must_check:
            self._must_check = True
            self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Identify the broker at startup and after each `recheck`, until asked to stop."""
        failures = 0
        while not stopping.is_set():
            if not self._must_check:
                failures = 0
                await self._waker.rest(stopping, REST_SECONDS)
                continue
            # Cleared before the request, so that a later recheck is not lost.
            self._must_check = False
            try:
                created = await self._created()
                if created is not None and not await self.identify(created):
                    self._on_new()
            except FAULTS:
                # The publish check logs the same failure.
                self._must_check, failures = True, failures + 1
                await pause(stopping, RETRY.delay(failures))

    async def identify(self, created: str) -> bool:
        """Compare the broker with the stored one. False if a replay was requested, which must precede any sending.

        Raises what the database raises.
        """
        async with transaction(self._pool) as connection:
            # Without the lock while nothing changes, so that nobody who holds it can delay what is sent.
            row = await connection.fetchrow(REMEMBERED)
            if row is not None and self._is_remembered(row, created):
                self._check_older(row["broker"], created)
                return True
            row = await connection.fetchrow(REMEMBERED_LOCKED)
            known: str | None = row["broker"] if row else None
            self._check_older(known, created)
            if known is None:
                await connection.execute(REMEMBER, created)
            if known is None or not _is_newer(created, than=known):
                return True
            if not self._automatic:
                return await self._report(connection, row, created)
            job = await self._replay(connection, known, created)
        log.warning(
            "the broker was recreated; everything in the outbox is replayed", action="broker.changed", replay=job
        )
        self._signals.emit("broker.changed", job=job)
        return False

    def _is_remembered(self, row: asyncpg.Record, created: str) -> bool:
        """Return whether the broker is known, or waits for an operator already."""
        known: str | None = row["broker"]
        newest = known if known is None or self._automatic else row["broker_seen"] or known
        return newest is not None and not _is_newer(created, than=newest)

    async def _replay(self, connection: Connection, known: str, created: str) -> int:
        await connection.execute(REMEMBER, created)
        reason = "the broker was recreated and has lost what was sent"
        # Includes unsent events: an acknowledgement or a confirmation of the old broker may still arrive for them.
        job = await request(connection, Criteria(unsent=True), actor="relay", reason=reason)
        details = {"job": job, "known": known, "seen": created}
        await record(connection, "replay", Decision("relay", reason), details=details)
        return job

    async def _report(self, connection: Connection, row: asyncpg.Record | None, created: str) -> bool:
        seen: str | None = row["broker_seen"] if row else None
        if seen is None or _is_newer(created, than=seen):
            await connection.execute(REPORT, created, str(self._relay_id))
            reason = "the publish-check queue was recreated: an operator decides what is replayed"
            details = {"known": row["broker"] if row else None, "seen": created}
            await record(connection, "broker-seen", Decision("relay", reason), details=details)
            log.error(
                "the broker was recreated; an operator decides what is replayed",
                action="broker.changed",
                replay="by an operator",
            )
            self._signals.emit("broker.changed", job=None)
        return True

    def _check_older(self, known: str | None, created: str) -> None:
        trouble = None
        if known is not None and _is_newer(known, than=created):
            trouble = "this relay sees an older publish-check queue than other relays: all must use the same broker"
            if self.trouble is None:
                log.error(trouble, action="broker.older", known=known, seen=created)
        self.trouble = trouble


def _is_newer(created: str, *, than: str) -> bool:
    """Return whether a queue was created later; if a value is not a number, whether the values differ."""
    if created.isdecimal() and than.isdecimal():
        return int(created) > int(than)
    return created != than
