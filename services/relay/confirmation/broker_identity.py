"""Notices that the broker is not the one it was: then what the old one had, and subscribers had not read, is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from uuid import UUID

import asyncpg
import structlog

from event_trio.backoff import Backoff
from event_trio.broker.queue import Queue
from event_trio.database.connections import DATABASE_FAULTS, Connection, Pool, transaction
from event_trio.errors import BrokerUnavailable
from event_trio.lifecycle import Waker, pause
from event_trio.signals import Signals

from ..operators.replays import Criteria, request

log = structlog.get_logger(__name__)

RETRY = Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5)
REST_SECONDS = 60.0
FAULTS: tuple[type[BaseException], ...] = (BrokerUnavailable, KeyError, *DATABASE_FAULTS)

REMEMBERED = """
-- remembered: the broker that this outbox knows, and the one that waits for an operator
SELECT broker, broker_seen FROM outbox_control FOR UPDATE
"""

REMEMBER = """
-- remember: this is the broker now
UPDATE outbox_control SET broker = $1, broker_seen = NULL, broker_seen_at = NULL, broker_seen_by = NULL
"""

REPORT = """
-- report: this broker is new, and an operator has to say what goes again
UPDATE outbox_control SET broker_seen = $1, broker_seen_at = clock_timestamp(), broker_seen_by = $2
"""

AUDIT = """
-- audit: keep who did what to the outbox, and why
INSERT INTO outbox_audit (actor, action, reason, details) VALUES ($1, $2, $3, $4::jsonb)
"""


class BrokerIdentity:
    """Compares the publish-check queue's time of creation with the one that the outbox remembers.

    LocalStack keeps nothing over a restart: there, everything that the outbox still has goes again by itself, and the
    inboxes absorb what had arrived. On AWS a queue made anew is somebody's deed, and it is for an operator to say what
    goes again (`replay --since`), or that nothing does. Until then the database keeps it, for all relays. A time of
    creation only grows: one before that which is known is no new broker, but another one than the other relays have.
    """

    name = "broker-identity"

    def __init__(
        self,
        pool: Pool,
        queue: Queue,
        *,
        relay_id: UUID,
        automatic: bool,
        on_new: Callable[[], None],
        signals: Signals,
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._relay_id = relay_id
        self._automatic = automatic
        self._on_new = on_new
        self._signals = signals
        self._waker = Waker()
        self._must_check = True
        self.trouble: str | None = None

    def recheck(self) -> None:
        """The publish check was away: look whether it is the one it was, as soon as it is there again."""
        if not self._must_check:
            self._must_check = True
            self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look who the broker is at first, and whenever there is recheck, until asked to stop."""
        failures = 0
        while not stopping.is_set():
            if not self._must_check:
                failures = 0
                await self._waker.rest(stopping, REST_SECONDS)
                continue
            # Before it looks: what happens meanwhile is another recheck.
            self._must_check = False
            try:
                if not await self.identify((await self._queue.attributes())["CreatedTimestamp"]):
                    self._on_new()
            except FAULTS:
                # Whoever reads the queue says what is wrong with it.
                self._must_check, failures = True, failures + 1
                await pause(stopping, RETRY.delay(failures))

    async def identify(self, created: str) -> bool:
        """Take note of the broker's identity; False when what it lost must go first, so that nothing may be sent yet.

        Raises what the database raises.
        """
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(REMEMBERED)
            known: str | None = row["broker"] if row else None
            self._check_older(known, created)
            if known is None:
                await connection.execute(REMEMBER, created)
            if known is None or not _is_newer(created, than=known):
                return True
            if not self._automatic:
                return await self._report(connection, row, created)
            job = await self._replay(connection, known, created)
        log.warning("the broker is new; everything in the outbox goes again", action="broker.changed", replay=job)
        self._signals.emit("broker.changed", job=job)
        return False

    async def _replay(self, connection: Connection, known: str, created: str) -> int:
        await connection.execute(REMEMBER, created)
        reason = "the broker is new and has nothing of what was sent"
        # What is not recorded as sent, too: an answer or a confirmation of the old broker may still be on its way.
        job = await request(connection, Criteria(unsent=True), actor="relay", reason=reason)
        await _audit(connection, "replay", reason, job=job, excluded=known, seen=created)
        return job

    async def _report(self, connection: Connection, row: asyncpg.Record | None, created: str) -> bool:
        seen: str | None = row["broker_seen"] if row else None
        if seen is None or _is_newer(created, than=seen):
            await connection.execute(REPORT, created, str(self._relay_id))
            reason = "the publish-check queue was made anew: an operator decides what goes again"
            await _audit(connection, "broker-seen", reason, excluded=row["broker"] if row else None, seen=created)
            log.error("the broker is new", action="broker.changed", replay="by an operator")
            self._signals.emit("broker.changed", job=None)
        return True

    def _check_older(self, known: str | None, created: str) -> None:
        trouble = None
        if known is not None and _is_newer(known, than=created):
            trouble = "this relay sees an older publish-check queue than the others do: let all have the same broker"
            if self.trouble is None:
                log.error(trouble, action="broker.older", excluded=known, seen=created)
        self.trouble = trouble


def _is_newer(created: str, *, than: str) -> bool:
    """Whether a queue was created later; where one of the times is none, whether it is another."""
    if created.isdecimal() and than.isdecimal():
        return int(created) > int(than)
    return created != than


async def _audit(connection: Connection, action: str, reason: str, **details: object) -> None:
    await connection.execute(AUDIT, "relay", action, reason, json.dumps(details))
