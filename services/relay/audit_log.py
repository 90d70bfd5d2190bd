"""Records who changed what in an outbox, in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from event_trio.database.connections import Connection

RECORD = """
-- record: who did what, and why
INSERT INTO outbox_audit (actor, action, reason, subject, event_id, details) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who changes something, and why."""

    actor: str
    reason: str


async def record(
    connection: Connection,
    action: str,
    decision: Decision,
    *,
    subject: str | None = None,
    event_id: UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record a change in the caller's transaction."""
    written = json.dumps(details or {})
    await connection.execute(RECORD, decision.actor, action, decision.reason, subject, event_id, written)
