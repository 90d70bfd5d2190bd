"""The AsyncAPI documents describe the running topology."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames
from event_trio.catalog.asyncapi import served_document
from tests.support import topologies
from tests.support.reported_topology import ACCOUNT, differences
from tools.catalog.discovery import services


def documents(prefix: str) -> list[dict[str, Any]]:
    """The documents as the services under the prefix serve them."""
    return [served_document(service, prefix=prefix) for service in services()]


@pytest.fixture
async def topology(aws: Aws) -> AsyncIterator[BrokerNames]:
    """The topology as CloudFormation creates it, with tags."""
    async with topologies.deployed(aws) as found:
        yield found


async def test_the_bindings_equal_what_the_broker_reports(aws: Aws, topology: BrokerNames) -> None:
    found = documents(topology.prefix)
    assert await differences(aws, topology.prefix, found) == []
    # The comparison sees a change of each kind, and what no document describes.
    async with sqs(aws) as queues, sns(aws) as topics:
        url = (await queues.get_queue_url(QueueName=topology.queue("notification", "order-events")))["QueueUrl"]
        await queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "61"})
        arn = f"arn:aws:sns:{aws.region}:{ACCOUNT}:{topology.topic('notification-events')}"
        for subscription in (await topics.list_subscriptions_by_topic(TopicArn=arn))["Subscriptions"]:
            await topics.set_subscription_attributes(
                SubscriptionArn=subscription.get("SubscriptionArn", ""),
                AttributeName="FilterPolicy",
                AttributeValue='{"type": ["notification.sent"]}',
            )
        undeclared = {"FifoQueue": "true"}
        other = await queues.create_queue(QueueName=f"{topology.prefix}other.fifo", Attributes=undeclared)  # type: ignore[arg-type]
        changed = [difference.partition(":")[0] for difference in await differences(aws, topology.prefix, found)]
        await queues.delete_queue(QueueUrl=other["QueueUrl"])
    assert changed == [
        f"queue {topology.queue('notification', 'order-events')}",
        f"queue {topology.prefix}other.fifo",
        *(
            f"subscription {topology.topic('notification-events')} -> {queue}"
            for queue in (
                topology.publish_check("notification-events"),
                topology.queue("order", "notification-events"),
            )
        ),
    ]
