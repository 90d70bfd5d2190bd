"""How the relay recovers from a lost confirmation, and from the loss of the whole broker."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.broker.queue import Message
from infra.deploy import deploy
from services.relay.confirmation.publish_check import PublishCheck
from services.relay.confirmation.sweeper import SweepThresholds
from services.relay.publishing.outbox_updates import Confirmation
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record, unpublished
from tests.support.readers import drain_queue, first_sequences
from tests.support.relays import running, settings
from tests.support.waiting import eventually
from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.ports import free_port


async def test_after_a_lost_confirmation_the_event_is_sent_again_and_published(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lost = PublishCheck._confirm, list[Message]()

    async def confirm(check: PublishCheck, received: Sequence[tuple[Message, Confirmation | None]]) -> None:
        if lost:
            await real(check, received)
        else:
            lost.extend(message for message, _ in received)
            await check._queue.delete(lost)

    monkeypatch.setattr(PublishCheck, "_confirm", confirm)
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
    thresholds = SweepThresholds(sweep=0.3, lost_after=2.0, in_queue_after=0.5, probe=1.0)
    async with running(made, thresholds=thresholds) as signals:
        await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])

        async def one_is_lost() -> bool:
            return bool(lost)

        await eventually(one_is_lost)
        await signals.wait("sweeper.swept", where=lambda facts: facts["returned"] == 1, timeout=20)
        await signals.wait("relay.published", timeout=20)
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_event")
    assert row["republished"] == 1
    assert row["published_at"] is not None


@pytest.mark.timeout(180)
async def test_a_recreated_broker_gets_everything_again_in_order_before_new_events(
    outbox_database: TestDatabase, tmp_path: Path
) -> None:
    async with EmbeddedLocalStack(tmp_path / "localstack", port=free_port()) as own:
        aws, topology = Aws(endpoint_url=own.endpoint_url), BrokerNames()
        await deploy(aws, prefix="")
        made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
        url = outbox_database.url_for(OUTBOX_WRITER)
        async with running(made) as signals:
            await record(url, [(group, n) for n in (1, 2, 3) for group in ("a", "b")])

            async def all_published() -> bool:
                return await unpublished(outbox_database.url) == 0

            await eventually(all_published, timeout=20)
            # Nobody has read them: with the broker, they are gone for the subscriber.
            await own.stop()
            await record(url, [("a", 4), ("c", 1)])
            await own.start()
            await deploy(aws, prefix="")
            await signals.wait("broker.changed", timeout=40)
            arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 8, seconds=40)
            assert first_sequences(arrived) == {"a": [1, 2, 3, 4], "b": [1, 2, 3], "c": [1]}
            await eventually(all_published, timeout=20)
    rows = await query(outbox_database.url, "SELECT actor, action FROM outbox_audit")
    assert [(row["actor"], row["action"]) for row in rows] == [("relay", "replay")]


async def test_on_aws_a_recreated_broker_is_reported_and_left_to_an_operator(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology, new_broker="report")
    async with running(made) as signals:
        await signals.wait("relay.published")
    await query(outbox_database.url, "UPDATE outbox_control SET broker = 'another one' RETURNING 1")
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 2)])
    async with running(made) as signals:
        await signals.wait("relay.published")
    assert await query(outbox_database.url, "SELECT 1 FROM outbox_replay") == []
