"""Notices that the broker is not the one it was: then what the old one had, and subscribers had not read, is gone."""

from __future__ import annotations

import structlog

from shared.database import Pool, transaction
from shared.signals import Signals

from ..operators.replays import Criteria, request

log = structlog.get_logger(__name__)

REMEMBERED = """
-- remembered: the broker that this outbox knows
SELECT broker FROM outbox_control FOR UPDATE
"""

REMEMBER = """
-- remember: this is the broker now
UPDATE outbox_control SET broker = $1
"""

AUDIT = """
-- audit: keep who did what to the outbox, and why
INSERT INTO outbox_audit (actor, action, reason, details) VALUES ($1, $2, $3, jsonb_build_object('job', $4::bigint))
"""


class BrokerIdentity:
    """Compares the publish-check queue's time of creation with the one that the outbox remembers.

    LocalStack keeps nothing over a restart: there, everything that the outbox still has goes again by itself, and the
    inboxes absorb what had arrived. On AWS a queue made anew is somebody's deed, and it is for an operator to say what
    goes again (`replay --since`).
    """

    def __init__(self, pool: Pool, *, automatic: bool, signals: Signals) -> None:
        self._pool = pool
        self._automatic = automatic
        self._signals = signals
        self.trouble: str | None = None

    async def meet(self, created: str) -> bool:
        """Take note of the broker's identity; False when what it lost must go first, so that nothing may be sent yet.

        Raises what the database raises.
        """
        async with transaction(self._pool) as connection:
            known: str | None = await connection.fetchval(REMEMBERED)
            if known == created:
                return True
            await connection.execute(REMEMBER, created)
            if known is None:
                return True
            if not self._automatic:
                self.trouble = "the publish-check queue was made anew: decide what goes again (replay --since)"
                log.error("the broker is new", action="broker.changed", replay="by an operator")
                return True
            reason = "the broker is new and has nothing of what was sent"
            job = await request(connection, Criteria(), actor="relay", reason=reason)
            await connection.execute(AUDIT, "relay", "replay", reason, job)
        log.warning("the broker is new; everything in the outbox goes again", action="broker.changed", replay=job)
        self._signals.emit("broker.changed", job=job)
        return False
