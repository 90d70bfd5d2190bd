"""A topology that tests create without CloudFormation is the one that CloudFormation deploys."""

import json
from typing import Any

from event_trio.broker.aws import Aws, sns, sqs
from tests.support.topologies import created, deployed

# Of the time of the creation, of the tags of a stack, and those that LocalStack's CloudFormation drops.
IGNORED = {"CreatedTimestamp", "LastModifiedTimestamp", "FifoThroughputScope", "MaximumMessageSize", "SubscriptionArn"}


async def test_what_is_created_is_what_is_deployed(aws: Aws) -> None:
    async with created(aws) as one, deployed(aws) as other:
        assert await topology(aws, one.prefix) == await topology(aws, other.prefix)


async def topology(aws: Aws, prefix: str) -> dict[str, dict[str, str]]:
    """The attributes of all topics, queues and subscriptions with the prefix, by their names without it."""
    found: dict[str, Any] = {}
    async with sns(aws) as topics, sqs(aws) as queues:
        for url in (await queues.list_queues(QueueNamePrefix=prefix))["QueueUrls"]:
            answer = await queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            found[url] = answer["Attributes"]
        for each in (await topics.list_topics())["Topics"]:
            arn = each["TopicArn"]
            if f":{prefix}" not in arn:
                continue
            found[arn] = (await topics.get_topic_attributes(TopicArn=arn))["Attributes"]
            for subscription in (await topics.list_subscriptions_by_topic(TopicArn=arn))["Subscriptions"]:
                attributes = await topics.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])
                found[f"{arn} to {subscription['Endpoint']}"] = attributes["Attributes"]
    kept = {name: {key: _sorted(each[key]) for key in each if key not in IGNORED} for name, each in found.items()}
    plain: dict[str, dict[str, str]] = json.loads(json.dumps(kept).replace(prefix, ""))
    return plain


def _sorted(value: str) -> Any:
    """JSON as values, whose order of keys does not matter."""
    return json.loads(value) if value.startswith("{") else value
