"""The real sweeper without delays, over a model of the check queue whose content is known."""

from uuid import UUID

from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from tests.support.check_queue_model import CheckQueue
from tests.support.relay_parts import unread_metrics

# Without delays: every unconfirmed event may be lost at once, so more of them are sent again than in reality.
IMPATIENT = SweepThresholds(lost_after=0.0, in_queue_after=0.0, probe=0.0)


async def sweep(pool: Pool, queue: CheckQueue) -> int:
    """Sweep once and check that events found lost are lost; returns how many events are sent again."""
    signals = Signals()
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT event_id, republished FROM outbox_event")
    before = {row["event_id"]: row["republished"] for row in rows}
    coming = queue.coming
    sweeper = Sweeper(
        pool,
        IMPATIENT,
        may_sweep=lambda: True,
        metrics=unread_metrics(),
        signals=signals,
        on_returned=lambda: None,
        queue_empty_for=lambda: None if coming else 0.0,
    )
    returned = await sweeper.sweep()
    for facts in signals.seen("sweeper.lost"):
        event_id = facts["event_id"]
        assert isinstance(event_id, UUID)
        assert (event_id, before[event_id]) not in coming, "found lost, but its confirmation is still in the queue"
    return returned
