"""A loss is proven by a confirmed later event of the group, or by a check queue that was empty."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.confirmation.control_monitor import ControlMonitor
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from services.relay.confirmation.unconfirmed import RUN
from services.relay.metrics import RelayMetrics
from services.relay.publishing.outbox_updates import Confirmation, OutboxUpdates
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, pool, query, record

PATIENCE = SweepThresholds(lost_after=360, in_queue_after=60, probe=60)


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


class Swept:
    """A sweeper, what it knows of the check queue, and what it counted."""

    def __init__(
        self, made: Pool, *, queue_empty_for: Callable[[], float | None] = lambda: None, can_send: bool = True
    ) -> None:
        self.metrics = RelayMetrics(CollectorRegistry())
        self.sweeper = Sweeper(
            made,
            PATIENCE,
            may_sweep=lambda: True,
            metrics=self.metrics,
            signals=Signals(),
            on_returned=lambda: None,
            queue_empty_for=queue_empty_for,
            can_send=lambda: can_send,
        )

    async def counts(self) -> tuple[int, int]:
        """Sweep, and say how many were lost and how many went as probes."""
        before = [self._republished(reason) for reason in ("lost", "probe")]
        await self.sweeper.sweep()
        after = [self._republished(reason) for reason in ("lost", "probe")]
        return after[0] - before[0], after[1] - before[1]

    def _republished(self, reason: str) -> int:
        return int(self.metrics.republished.labels(reason=reason)._value.get())


async def sent(database: TestDatabase, where: str, minutes_ago: float, *, published_ago: float | None = None) -> None:
    await query(
        database.url,
        "UPDATE outbox_event SET sent_at = now() - $1::interval, published_at = now() - $2::interval"
        f" WHERE {where} RETURNING 1",
        timedelta(minutes=minutes_ago),
        None if published_ago is None else timedelta(minutes=published_ago),
    )


async def confirmations_come(database: TestDatabase, *, sent_ago: float = 0) -> None:
    """Something that was sent so many minutes ago came back just now."""
    await query(
        database.url,
        "UPDATE outbox_control SET confirmed_at = clock_timestamp(), confirmed_sent_at = now() - $1::interval"
        " RETURNING 1",
        timedelta(minutes=sent_ago),
    )


async def republished(database: TestDatabase) -> dict[tuple[str, int], int]:
    rows = await query(database.url, "SELECT subject, sequence, republished FROM outbox_event WHERE republished > 0")
    return {(row["subject"], row["sequence"]): row["republished"] for row in rows}


async def test_a_confirmed_later_event_of_the_group_proves_a_loss(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", n) for n in range(1, 6)] + [("b", 1), ("c", 1)])
    await sent(outbox_database, "subject = 'a' AND sequence = 1", 9, published_ago=9)
    await sent(outbox_database, "subject = 'a' AND sequence IN (2, 3)", 8)
    await sent(outbox_database, "subject = 'a' AND sequence = 4", 7, published_ago=6.5)
    await sent(outbox_database, "subject = 'a' AND sequence = 5", 6.9)
    await sent(outbox_database, "subject = 'b'", 8)
    await sent(outbox_database, "subject = 'c'", 5)
    assert await Swept(relay_pool).counts() == (2, 1)
    # Of `b` nothing is known, nor of what was sent after that which came back; the oldest of these is a probe.
    assert await republished(outbox_database) == {("a", 2): 1, ("a", 3): 1, ("b", 1): 1}


async def test_a_group_that_is_confirmed_slowly_has_lost_nothing(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    """A hot group an hour behind, of which one event a second comes back."""
    await fill(outbox_database.url, 1, each=2000)
    await sent(outbox_database, "true", 60)
    await sent(outbox_database, "sequence <= 500", 70, published_ago=1 / 60)
    updates, swept = OutboxUpdates(relay_pool, uuid4()), Swept(relay_pool)
    rows = await query(outbox_database.url, "SELECT event_id FROM outbox_event WHERE sequence > 500 ORDER BY sequence")
    for row in rows[:5]:
        assert await swept.counts() == (0, 0)
        assert len(await updates.mark_published([Confirmation(row["event_id"])])) == 1
    assert await republished(outbox_database) == {}
    assert swept.sweeper.trouble is None
    assert swept.metrics.confirmation_lag._value.get() == pytest.approx(3600, abs=30)


async def test_losses_of_a_hot_group_that_is_confirmed_slowly_are_found(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    await fill(outbox_database.url, 1, each=2000)
    await sent(outbox_database, "true", 60)
    await sent(outbox_database, "sequence <= 500 AND sequence NOT IN (1, 77, 78, 499)", 60, published_ago=1 / 60)
    assert await Swept(relay_pool).counts() == (4, 0)
    assert sorted(await republished(outbox_database)) == [("s-1", n) for n in (1, 77, 78, 499)]


async def test_a_proof_is_found_behind_any_number_of_lost_events(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    lost = 2 * RUN + 50
    await fill(outbox_database.url, 1, each=lost + 100)
    await sent(outbox_database, "true", 30)
    await sent(outbox_database, f"sequence = {lost + 1}", 29, published_ago=20)
    assert await Swept(relay_pool).counts() == (lost, 0)


async def test_an_earlier_sending_proves_no_loss_of_an_event_sent_again_since(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2), ("a", 3)])
    await sent(outbox_database, "sequence = 1", 7)
    await sent(outbox_database, "sequence = 2", 20, published_ago=1)
    assert await Swept(relay_pool, can_send=False).counts() == (0, 0)
    await sent(outbox_database, "sequence = 3", 6, published_ago=1)
    assert await Swept(relay_pool).counts() == (1, 0), "lost once more"


async def test_an_empty_check_queue_proves_the_loss_of_events_sent_well_before(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1), ("c", 1), ("d", 1)])
    await sent(outbox_database, "subject IN ('a', 'b')", 10)
    await sent(outbox_database, "subject = 'c'", 6.5)
    await sent(outbox_database, "subject = 'd'", 1)
    await confirmations_come(outbox_database)
    # Empty six minutes ago: half a minute after `c` was sent, which may be on its way then, on AWS.
    assert await Swept(relay_pool, queue_empty_for=lambda: 360.0, can_send=False).counts() == (2, 0)
    assert await republished(outbox_database) == {("a", 1): 1, ("b", 1): 1}
    assert await Swept(relay_pool, queue_empty_for=lambda: 300.0, can_send=False).counts() == (1, 0)
    assert (await republished(outbox_database))["c", 1] == 1


async def test_an_empty_check_queue_proves_nothing_without_a_later_confirmation(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    """Its subscription is gone, perhaps: then all would go again, for ever."""
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"g-{n}", 1) for n in range(20)])
    await sent(outbox_database, "true", 10)
    await confirmations_come(outbox_database, sent_ago=11)
    swept = Swept(relay_pool, queue_empty_for=lambda: 1.0)
    assert await swept.counts() == (0, 1)
    assert len(await republished(outbox_database)) == 1


async def test_each_confirmed_round_of_probes_doubles_the_next(outbox_database: TestDatabase, relay_pool: Pool) -> None:
    """Where the queue is never empty and groups are short there is no other proof; one at a time would never end."""
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"g-{n}", 1) for n in range(9)])
    await sent(outbox_database, "true", 10)
    swept = Swept(relay_pool)
    for expected in (1, 2, 4, 2):
        assert await swept.counts() == (0, expected)
        await sent(outbox_database, "sent_at IS NULL", 0, published_ago=0)
    assert await swept.counts() == (0, 0)


async def test_a_slow_probe_beside_other_confirmations_does_not_break_the_check(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])
    await sent(outbox_database, "true", 10)
    swept = Swept(relay_pool)
    assert await swept.counts() == (0, 1)
    await sent(outbox_database, "sent_at IS NULL", 2)
    await confirmations_come(outbox_database, sent_ago=10)
    assert await swept.counts() == (0, 0)
    assert swept.sweeper.trouble is None


async def broken(database: TestDatabase, swept: Swept) -> UUID:
    """A probe goes and does not return; returns the next one, which went since."""
    assert await swept.counts() == (0, 1)
    await sent(database, "sent_at IS NULL", 2)
    assert await swept.counts() == (0, 1)
    assert "broken" in (swept.sweeper.trouble or "")
    (row,) = await query(database.url, "SELECT event_id FROM outbox_event WHERE sent_at IS NULL AND held_at IS NULL")
    event_id: UUID = row["event_id"]
    return event_id


async def test_the_oldest_event_that_can_be_sent_is_the_probe(outbox_database: TestDatabase, relay_pool: Pool) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("held", 1), ("held", 2), ("free", 1), ("young", 1)])
    await sent(outbox_database, "subject = 'held' AND sequence = 1", 30)
    await query(outbox_database.url, "UPDATE outbox_event SET held_at = now(), held_reason = 'x' WHERE sequence = 2"
                " RETURNING 1")  # fmt: skip
    await sent(outbox_database, "subject = 'free'", 20)
    await sent(outbox_database, "subject = 'young'", 10)
    swept = Swept(relay_pool)
    await broken(outbox_database, swept)
    assert await republished(outbox_database) == {("free", 1): 1, ("young", 1): 1}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE outbox_event SET held_at = now(), held_reason = 'by an operator' WHERE event_id = $1 RETURNING 1",
        "DELETE FROM outbox_event WHERE event_id = $1 RETURNING 1",
        "UPDATE outbox_event SET attempts = 1, last_error = 'its lane has no relay' WHERE event_id = $1 RETURNING 1",
    ],
    ids=["held", "discarded", "never sent"],
)
async def test_a_probe_that_is_not_sent_does_not_clear_the_alarm(
    outbox_database: TestDatabase, relay_pool: Pool, change: str
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"g-{n}", 1) for n in range(5)])
    await sent(outbox_database, "true", 10)
    swept = Swept(relay_pool)
    probe = await broken(outbox_database, swept)
    await query(outbox_database.url, change, probe)
    await query(outbox_database.url, "UPDATE outbox_control SET probed_at = now() - interval '61 s' RETURNING 1")
    assert await swept.counts() == (0, 1), "it is waited for a minute, and then another one goes"
    assert "broken" in (swept.sweeper.trouble or "")


async def test_a_broken_check_is_reported_by_every_relay_and_after_a_restart(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"g-{n}", 1) for n in range(5)])
    await sent(outbox_database, "true", 10)
    await broken(outbox_database, Swept(relay_pool))
    successor = Swept(relay_pool)
    assert await successor.counts() == (0, 0), "the probe of the one before is still under way"
    assert "broken" in (successor.sweeper.trouble or "")
    watch = ControlMonitor(relay_pool, successor.metrics)
    await watch.step()
    assert "broken" in (watch.check or "")
    assert successor.metrics.check_broken._value.get() == 1
    await query(outbox_database.url, "UPDATE outbox_control SET confirmed_at = clock_timestamp() RETURNING 1")
    await successor.sweeper.sweep()
    await watch.step()
    assert watch.check is successor.sweeper.trouble is None


@pytest.mark.parametrize("stop", ["paused", "replay", "outage"])
async def test_no_probe_is_chosen_while_none_can_be_sent(
    outbox_database: TestDatabase, relay_pool: Pool, stop: str
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])
    await sent(outbox_database, "true", 10)
    if stop == "paused":
        await query(outbox_database.url, "UPDATE outbox_control SET paused_at = now() RETURNING 1")
    if stop == "replay":
        await query(outbox_database.url, "INSERT INTO outbox_replay (requested_by, reason, criteria, until_id)"
                    " VALUES ('x', 'y', '{}', 9) RETURNING 1")  # fmt: skip
    assert await Swept(relay_pool, can_send=stop != "outage").counts() == (0, 0)
    assert await republished(outbox_database) == {}
