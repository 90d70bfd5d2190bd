"""Lets an operator say that nothing has to go again to a new broker, or that what had to was asked for."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard

from . import audit, brokers
from .audit import Decision
from .operations import OperationRefused

log = structlog.get_logger(__name__)


class BrokerAcceptance:
    """Every call may raise OperationRefused, or what the database raises; then nothing was changed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accept_broker(self, decision: Decision, *, once: IdempotencyGuard[str] = NO_GUARD) -> str:
        """The broker that was seen is the one that the outbox knows; returns its publish check's time of creation."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            accepted = await brokers.accept(connection)
            if accepted is None:
                raise OperationRefused("no new broker waits to be accepted")
            await audit.record(connection, "accept-broker", decision, details={"broker": accepted})
            await once.keep(connection.fetch, accepted)
        log.warning("new broker accepted", action="operations.accept_broker", actor=decision.actor)
        return accepted
