"""The replays of an operator in the model of the relay: requested, carried out in small steps, and cancelled."""

from contextlib import suppress
from unittest import mock

from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.jobs import replays
from services.relay.jobs.replay_requests import Criteria
from services.relay.operators.operations import NotInOutbox, OperationRefused, Operations
from tests.support.relay_parts import unread_metrics

DECISION = Decision(actor="model", reason="to see what happens")
ROWS_A_STEP = 2
"""So few that a replay is cancelled halfway."""


async def request(operations: Operations, group: str | None) -> int | None:
    """Request a replay of a group, or of everything; None if nothing was sent."""
    with suppress(NotInOutbox):
        job, _ = await operations.replay(Criteria(subject=group), DECISION)
        return job
    return None


async def step(pool: Pool, count: int) -> None:
    """Carry out so many steps of the replays."""
    found = replays.Replays(pool, metrics=unread_metrics(), signals=Signals())
    with mock.patch.object(replays, "STEP", ROWS_A_STEP):
        for _ in range(count):
            await found.step()


async def cancel(operations: Operations, job: int) -> None:
    """Cancel a replay, if it is not over."""
    with suppress(OperationRefused):
        await operations.cancel_replay(job, DECISION)
