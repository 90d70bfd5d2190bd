"""The real sweeper without any patience, over a check queue of which all is known."""

from uuid import UUID

from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from services.relay.metrics import RelayMetrics
from tests.support.check_queue_model import CheckQueue

# Nobody waits here: whatever was sent and is not confirmed may be lost at once, which only makes more of them go again.
IMPATIENT = SweepThresholds(lost_after=0.0, in_queue_after=0.0, probe=0.0)


async def sweep(pool: Pool, queue: CheckQueue) -> int:
    """One sweep; what it calls lost must be lost. Returns how many events go again."""
    signals = Signals()
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT event_id, republished FROM outbox_event")
    before = {row["event_id"]: row["republished"] for row in rows}
    coming = queue.coming
    sweeper = Sweeper(
        pool,
        IMPATIENT,
        may_sweep=lambda: True,
        metrics=RelayMetrics(CollectorRegistry()),
        signals=signals,
        on_returned=lambda: None,
        queue_empty_for=lambda: None if coming else 0.0,
    )
    returned = await sweeper.sweep()
    for facts in signals.seen("sweeper.lost"):
        event_id = facts["event_id"]
        assert isinstance(event_id, UUID)
        assert (event_id, before[event_id]) not in coming, "called lost, and still on its way back"
    return returned
