"""The connections of a relay, settings that contradict each other, and a missing check queue."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames
from event_trio.errors import ConfigurationError
from services.relay import connections
from services.relay.main import build
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record
from tests.support.relays import TOPIC, running, settings
from tests.support.waiting import eventually


async def test_with_sixty_four_calls_in_flight_the_client_has_as_many_connections(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def watched(*arguments: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        asked.append(options["connections"])
        return sns(*arguments, **options)

    monkeypatch.setattr(connections, "sns", watched)
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology, batches_in_flight=64)
    async with running(made) as signals:
        await signals.wait("lanes.changed")
    assert asked[0] >= 64


async def test_the_lease_has_a_connection_of_its_own(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)) as signals:
        await signals.wait("lanes.changed")
        rows = await query(
            outbox_database.url,
            "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1",
        )
        assert {row[0]: row[1] for row in rows}["relay-lease"] == 1


@pytest.mark.parametrize(("call", "lease"), [(2.5, 3.0), (3.0, 3.0), (10.5, 15.0), (14.0, 15.0)])
async def test_a_deadline_that_could_outlast_the_lease_is_refused_at_startup(
    topology: BrokerNames, aws: Aws, call: float, lease: float
) -> None:
    times = {"call_seconds": call, "lease_seconds": lease, "drain_seconds": 60.0}
    with pytest.raises(ConfigurationError, match=rf"CALL_SECONDS \({call:g}\) must be at most two thirds"):
        build(settings("postgresql://nobody@127.0.0.1:1/none", aws, topology, **times))


async def test_a_deleted_check_queue_does_not_stop_publishing(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    url = outbox_database.url_for(OUTBOX_WRITER)
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
    async with running(made) as signals, sqs(aws) as client:
        await record(url, [("o-1", 1)])
        await signals.wait("relay.published")
        queue = (await client.get_queue_url(QueueName=topology.publish_check(TOPIC)))["QueueUrl"]
        await client.delete_queue(QueueUrl=queue)
        for number in (2, 3, 4):
            await record(url, [("o-1", number)])
            await query(url, "NOTIFY outbox")

            async def is_sent(number: int = number) -> bool:
                rows = await query(outbox_database.url, "SELECT 1 FROM outbox_event WHERE sent_at IS NOT NULL")
                return len(rows) == number

            await eventually(is_sent, timeout=10)
        assert not signals.seen("relay.outage")
