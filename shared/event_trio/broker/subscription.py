"""Reads a subscription's filter policy from the broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import BrokerUnavailable
from .aws import BROKER_FAULTS, error_code, topic_arn_beside

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient


async def filtered_types(client: SNSClient, *, topic: str, queue_arn: str) -> frozenset[str] | None:
    """The event types that the filter policy of the queue's subscription accepts; None if it does not filter by type.

    Raises BrokerUnavailable when there is no such subscription, or when it cannot be read.
    """
    topic_arn = topic_arn_beside(queue_arn, topic)
    try:
        pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
        found = [each async for page in pages for each in page["Subscriptions"] if each.get("Endpoint") == queue_arn]
        if not found:
            raise BrokerUnavailable(f"topic {topic} has no subscription of the queue; deploy the topology")
        answer = await client.get_subscription_attributes(SubscriptionArn=found[0]["SubscriptionArn"])
    except BROKER_FAULTS as error:
        raise BrokerUnavailable(f"cannot read the subscriptions of topic {topic}: {error_code(error)}") from error
    policy = answer["Attributes"].get("FilterPolicy")
    types = json.loads(policy).get("type") if policy else None
    return None if types is None else frozenset(str(each) for each in types)
