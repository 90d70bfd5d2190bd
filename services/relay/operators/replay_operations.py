"""The operations on replays: count, request, cancel; each in one transaction with its audit entry."""

from __future__ import annotations

import json

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard

from .. import audit_log
from ..audit_log import Decision
from ..jobs import replay_requests
from ..jobs.replay_requests import AtLeast, Criteria
from . import broker_acceptance
from .errors import NotInOutbox, OperationRefused

log = structlog.get_logger(__name__)


class ReplayOperations:
    """A part of `Operations`; its calls raise the same errors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count_replay(self, criteria: Criteria) -> int:
        """Return how many events a replay would send again; an AtLeast if counting stopped at its bound."""
        async with transaction(self._pool) as connection:
            return await replay_requests.count(connection, criteria)

    async def replay(
        self, criteria: Criteria, decision: Decision, *, once: IdempotencyGuard[tuple[int, int]] = NO_GUARD
    ) -> tuple[int, int]:
        """Request a replay; returns its number and how many events it currently chooses."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            chosen = await replay_requests.count(connection, criteria)
            if not chosen and not isinstance(chosen, AtLeast):
                raise NotInOutbox("no sent event matches, so nothing would be replayed")
            job = await replay_requests.request(connection, criteria, actor=decision.actor, reason=decision.reason)
            details = {"job": job, "events": chosen, "criteria": json.loads(criteria.to_json())}
            if broker_acceptance.implies_acceptance(criteria) and (
                accepted := await broker_acceptance.accept(connection)
            ):
                details["broker"] = accepted
            await audit_log.record(
                connection, "replay", decision, subject=criteria.subject, event_id=criteria.event_id, details=details
            )
            await once.keep(connection.fetch, (job, chosen))
        log.warning("replay requested", action="operations.replay", job=job, events=chosen, actor=decision.actor)
        return job, chosen

    async def cancel_replay(self, job: int, decision: Decision, *, once: IdempotencyGuard[int] = NO_GUARD) -> int:
        """Cancel a replay; returns how many events it had marked as unsent; these are sent again."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            found = await connection.fetchrow(replay_requests.FIND, job)
            if found is None:
                raise NotInOutbox("there is no replay with this number")
            replayed = await replay_requests.cancel(connection, job, actor=decision.actor)
            if replayed is None:
                raise OperationRefused("the replay has already finished or was cancelled")
            details = {"job": job, "replayed": replayed}
            await audit_log.record(connection, "cancel_replay", decision, subject=found["subject"], details=details)
            await once.keep(connection.fetch, replayed)
        log.warning("replay cancelled", action="operations.cancel_replay", job=job, actor=decision.actor)
        return replayed
