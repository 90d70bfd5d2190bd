"""A relay with SOURCE=wal on a real Postgres and a real LocalStack: found without polling, and never lost."""

from collections.abc import AsyncIterator

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.signals import Signals
from services.relay.wal import source, stream
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, query, record, unpublished
from tests.support.readers import drain_queue, first_sequences
from tests.support.relays import running, settings, shared_out
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than in operation."""
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(source, "LOOK_AGAIN_SECONDS", 0.1)


@pytest.fixture
async def database(outbox_database: TestDatabase) -> AsyncIterator[TestDatabase]:
    """An outbox with a slot."""
    if not wal_source.chosen():
        await wal_source.prepare(outbox_database.url)
    yield outbox_database
    if not wal_source.chosen():
        await wal_source.remove(outbox_database.url)


async def published(database: TestDatabase) -> None:
    async def all_published() -> bool:
        assert (left := await unpublished(database.url)) == 0, f"{left} events are not published"
        return True

    await eventually(all_published, timeout=40.0)


async def streams(signals: Signals) -> None:
    """Wait until the relay reads the log, listens, and has nothing left to read."""
    await signals.wait("wal.state", where=lambda facts: facts["state"] == "streaming")
    await signals.wait("listener.listening")

    async def at_rest() -> bool:
        before = len(signals.seen("relay.read"))
        await signals.wait("wal.looked", count=len(signals.seen("wal.looked")) + 2)
        return before == len(signals.seen("relay.read"))

    await eventually(at_rest)


async def test_an_event_is_sent_at_once_without_polling_and_without_a_notification(
    database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    url = database.url_for(OUTBOX_RELAY)
    async with running(settings(url, aws, topology, **wal_source.settings(url, always=True))) as signals:
        await streams(signals)
        reads, notified = len(signals.seen("relay.read")), len(signals.seen("listener.notified"))
        (envelope,) = await record(database.url_for(OUTBOX_WRITER), [("o-1", 1)])
        await signals.wait("relay.sent", where=lambda facts: str(envelope.id) in str(facts), timeout=1.0)
        assert len(signals.seen("listener.notified")) == notified
        # One read for the event, by its name, and perhaps one because its record is a change too.
        assert len(signals.seen("relay.read")) - reads <= 2


async def test_several_relays_share_the_work_though_one_reads_the_log(
    database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    url = database.url_for(OUTBOX_RELAY)
    # Without the log, or what is passed on, an event would wait for a minute.
    made = settings(url, aws, topology, poll_idle_seconds=60, **wal_source.settings(url, always=True))
    async with running(made) as first, running(made) as second:
        await shared_out(first, second)

        async def one_reads_and_one_stands_by() -> bool:
            states = [
                signals.seen("wal.state")[-1]["state"] for signals in (first, second) if signals.seen("wal.state")
            ]
            return sorted(map(str, states)) == ["standby", "streaming"]

        await eventually(one_reads_and_one_stands_by)
        await first.wait("listener.listening")
        await second.wait("listener.listening")
        await fill(database.url, 30, each=8)
        await published(database)
        assert first.seen("relay.sent")
        assert second.seen("relay.sent")
        assert [*first.seen("wal.passed_on"), *second.seen("wal.passed_on")]
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 240)
    assert first_sequences(arrived) == {f"s-{g}": list(range(1, 9)) for g in range(1, 31)}


async def test_when_the_slot_goes_the_table_is_polled_and_nothing_is_lost(
    database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    url = database.url_for(OUTBOX_RELAY)
    async with running(settings(url, aws, topology, **wal_source.settings(url, always=True))) as signals:
        await streams(signals)
        await fill(database.url, 5, each=4, prefix="before")
        await wal_source.remove(database.url)
        await fill(database.url, 5, each=4, prefix="without")
        await signals.wait("wal.state", where=lambda facts: facts["state"] == "slot_missing")
        await published(database)
        await wal_source.prepare(database.url)
        await signals.wait("wal.state", where=lambda facts: facts["state"] == "streaming", count=2)
        await fill(database.url, 5, each=4, prefix="after")
        await published(database)
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 60)
    expected = {f"{prefix}-{g}": [1, 2, 3, 4] for prefix in ("before", "without", "after") for g in range(1, 6)}
    assert first_sequences(arrived) == expected


async def test_a_paused_outbox_and_a_held_group_are_respected(
    database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    url = database.url_for(OUTBOX_RELAY)
    async with running(settings(url, aws, topology, **wal_source.settings(url, always=True))) as signals:
        await streams(signals)
        await query(database.url, "INSERT INTO outbox_hold (subject, held_by, reason) VALUES ('held', 'olga', 'why')")
        await query(
            database.url, "UPDATE outbox_control SET paused_at = now(), paused_by = 'olga', paused_reason = 'w'"
        )
        await record(database.url_for(OUTBOX_WRITER), [("held", 1), ("free", 1)])
        await signals.wait("wal.announced")
        await signals.wait("relay.read", count=len(signals.seen("relay.read")) + 1)
        assert not signals.seen("relay.sent")
        await query(database.url, "UPDATE outbox_control SET paused_at = NULL")
        await query(database.url, "NOTIFY outbox")
        await signals.wait("relay.sent")
        assert [facts["subjects"] for facts in signals.seen("relay.sent")] == [["free"]]
