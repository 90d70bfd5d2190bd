"""What operators ask of replays: to count, to begin, to cancel; each change in one transaction with its audit entry."""

from __future__ import annotations

import json

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard

from . import audit, brokers, replays
from .audit import Decision
from .errors import NotInOutbox, OperationRefused
from .replays import AtLeast, Criteria

log = structlog.get_logger(__name__)


class ReplayRequests:
    """Raises as `Operations` does, of which this is a part."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count_replay(self, criteria: Criteria) -> int:
        """How many events a replay would send again; an AtLeast when it was not counted to the end."""
        async with transaction(self._pool) as connection:
            return await replays.count(connection, criteria)

    async def replay(
        self, criteria: Criteria, decision: Decision, *, once: IdempotencyGuard[tuple[int, int]] = NO_GUARD
    ) -> tuple[int, int]:
        """Ask for a replay; returns its number and how many events it chooses as things stand."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            chosen = await replays.count(connection, criteria)
            if not chosen and not isinstance(chosen, AtLeast):
                raise NotInOutbox("no event that was sent fits, so nothing would go again")
            job = await replays.request(connection, criteria, actor=decision.actor, reason=decision.reason)
            details = {"job": job, "events": chosen, "criteria": json.loads(criteria.to_json())}
            if brokers.decides(criteria) and (accepted := await brokers.accept(connection)):
                details["broker"] = accepted
            await audit.record(
                connection, "replay", decision, subject=criteria.subject, event_id=criteria.event_id, details=details
            )
            await once.keep(connection.fetch, (job, chosen))
        log.warning("replay asked for", action="operations.replay", job=job, events=chosen, actor=decision.actor)
        return job, chosen

    async def cancel_replay(self, job: int, decision: Decision, *, once: IdempotencyGuard[int] = NO_GUARD) -> int:
        """Stop a replay; returns how many events it had returned to their lanes, which go all the same."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            found = await connection.fetchrow(replays.STATE, job)
            if found is None:
                raise NotInOutbox("there is no replay of this number")
            replayed = await replays.cancel(connection, job, actor=decision.actor)
            if replayed is None:
                raise OperationRefused("the replay is over: it was cancelled or done, so there is nothing to cancel")
            details = {"job": job, "replayed": replayed}
            await audit.record(connection, "cancel_replay", decision, subject=found["subject"], details=details)
            await once.keep(connection.fetch, replayed)
        log.warning("replay cancelled", action="operations.cancel_replay", job=job, actor=decision.actor)
        return replayed
