"""Orders are accepted during an outage of the broker. After it was recreated without its messages, every event is
processed once: those that were not sent, and those that were published but not received."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.lifecycle import Supervisor
from infra.localstack.watch import TopologyWatch
from tests.support.databases import TestDatabase
from tests.support.processes import together
from tests.support.trio import SystemEnvironment, Trio, notification_service, order_service, ready, relay
from tests.support.waiting import eventually
from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.ports import free_port


@pytest.fixture
async def own_localstack(tmp_path: Path) -> AsyncIterator[EmbeddedLocalStack]:
    """A LocalStack that only this test uses, so that it can be stopped."""
    async with EmbeddedLocalStack(tmp_path / "localstack", port=free_port()) as server:
        yield server


@pytest.mark.timeout(240)
async def test_unsent_and_unreceived_events_are_processed_once_after_the_broker_lost_its_messages(
    own_localstack: EmbeddedLocalStack,
    orders_database: TestDatabase,
    notifications_database: TestDatabase,
    tmp_path: Path,
) -> None:
    aws = Aws(endpoint_url=own_localstack.endpoint_url)
    ground = SystemEnvironment(orders_database, notifications_database, aws, BrokerNames(), tmp_path)
    keeper = Supervisor([TopologyWatch(aws, watch_seconds=0.5)])
    await keeper.start()
    try:
        async with together(order_service(ground), relay(ground)) as (orders, carrier):
            async with notification_service(ground) as notifications:
                services = Trio(ground, orders.api, notifications.api)
                for process in (orders, notifications, carrier):
                    await ready(process.api)
                before = await services.place()
                await services.wait_until_handled(before, 1)

            unread = await services.place()

            async def is_published() -> bool:
                return [event["status"] for event in await services.events(unread)] == ["published"]

            await eventually(is_published, timeout=30)

            await own_localstack.stop()

            async def relay_says_so() -> bool:
                answer = await carrier.api.get("/readyz")
                return answer.status_code == 503

            during = await services.place()
            for order_id in (before, unread):
                await services.act(order_id, "confirm")
            async with notification_service(ground) as notifications:
                services = Trio(ground, orders.api, notifications.api)
                await eventually(relay_says_so, timeout=30)
                assert (await orders.api.get("/readyz")).status_code == 200
                assert [event["status"] for event in await services.events(during)] == ["recorded"]

                await own_localstack.start()
                await services.wait_until_handled(during, 1, timeout=90)
                for order_id in (before, unread):
                    handled = await services.wait_until_handled(order_id, 2, timeout=90)
                    assert [item["type"] for item in handled] == ["order.placed", "order.confirmed"]
                    assert {item["outcome"] for item in handled} == {"handled"}
                await ready(carrier.api)
                await ready(notifications.api)
                for order_id, count in ((before, 2), (unread, 2), (during, 1)):
                    assert len(await services.handled(order_id)) == count
                    assert len(await services.notifications(order_id)) == count
    finally:
        await asyncio.shield(keeper.stop())
