"""What SNS and SQS report of topics, queues and subscriptions, in the form of AsyncAPI bindings."""

import json
from typing import TYPE_CHECKING, Any

from event_trio.broker.aws import Aws, sns, sqs

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

ACCOUNT = "000000000000"
# LocalStack's CloudFormation drops these attributes of topics.
UNREPORTED = {"x-fifo-throughput-scope", "x-maximum-message-size", "bindingVersion"}


async def differences(aws: Aws, prefix: str, documents: list[dict[str, Any]]) -> list[str]:
    """Where documents differ from the broker, in both directions: nothing under the prefix is undocumented."""
    topics, queues, subscriptions = _documented(documents)
    found: list[str] = []
    async with sns(aws) as topic_client, sqs(aws) as queue_client:
        found += _compared("topic", topics, await _topics(topic_client, prefix))
        found += _compared("queue", queues, await _queues(queue_client, prefix))
        found += _compared("subscription", subscriptions, await _subscriptions(topic_client, topics, aws.region))
    return found


def _documented(documents: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Topics, queues, and subscriptions by topic and queue."""
    topics: dict[str, Any] = {}
    queues: dict[str, Any] = {}
    subscriptions: dict[str, Any] = {}
    for document in documents:
        for channel in document["channels"].values():
            if "sns" in channel["bindings"]:
                binding = channel["bindings"]["sns"]
                topics[channel["address"]] = {key: value for key, value in binding.items() if key not in UNREPORTED}
            else:
                binding = channel["bindings"]["sqs"]
                assert binding["queue"]["name"] == channel["address"]
                found = [binding["queue"], *filter(None, [binding.get("deadLetterQueue")])]
                queues |= {queue["name"]: queue for queue in found}
        for operation in document["operations"].values():
            for queue in operation["bindings"].get("sqs", {}).get("queues", ()):
                queues.setdefault(queue["name"], queue)
                assert queues[queue["name"]] == queue
            for consumer in operation["bindings"]["sns"]["consumers"]:
                key = f"{operation['bindings']['sns']['topic']['name']} -> {consumer['endpoint']['name']}"
                subscriptions[key] = consumer
    return topics, queues, subscriptions


async def _topics(client: "SNSClient", prefix: str) -> dict[str, Any]:
    found = {}
    async for page in client.get_paginator("list_topics").paginate():
        for topic in page["Topics"]:
            arn = topic.get("TopicArn", "")
            if not _last(arn).startswith(prefix):
                continue
            attributes = (await client.get_topic_attributes(TopicArn=arn))["Attributes"]
            tags = (await client.list_tags_for_resource(ResourceArn=arn)).get("Tags", [])
            found[_last(arn)] = {
                "name": _last(arn),
                "ordering": {
                    "type": "FIFO" if attributes["FifoTopic"] == "true" else "standard",
                    "contentBasedDeduplication": attributes["ContentBasedDeduplication"] == "true",
                },
                "tags": _own({tag["Key"]: tag["Value"] for tag in tags}),
            }
    return found


async def _queues(client: "SQSClient", prefix: str) -> dict[str, Any]:
    found = {}
    for url in (await client.list_queues(QueueNamePrefix=prefix)).get("QueueUrls", []):
        answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes: dict[str, str] = {str(name): value for name, value in answer["Attributes"].items()}
        tags = (await client.list_queue_tags(QueueUrl=url)).get("Tags", {})
        name = _last(attributes["QueueArn"])
        found[name] = {
            "name": name,
            "fifoQueue": attributes["FifoQueue"] == "true",
            "deduplicationScope": attributes["DeduplicationScope"],
            "fifoThroughputLimit": attributes["FifoThroughputLimit"],
            "visibilityTimeout": int(attributes["VisibilityTimeout"]),
            "receiveMessageWaitTime": int(attributes["ReceiveMessageWaitTimeSeconds"]),
            "messageRetentionPeriod": int(attributes["MessageRetentionPeriod"]),
            "tags": _own(tags),
            "x-content-based-deduplication": attributes["ContentBasedDeduplication"] == "true",
            "x-maximum-message-size": int(attributes["MaximumMessageSize"]),
        }
        if "RedrivePolicy" in attributes:
            policy = json.loads(attributes["RedrivePolicy"])
            target = {"deadLetterQueue": {"name": _last(policy["deadLetterTargetArn"])}}
            found[name]["redrivePolicy"] = {**target, "maxReceiveCount": int(policy["maxReceiveCount"])}
    return found


async def _subscriptions(client: "SNSClient", topics: dict[str, Any], region: str) -> dict[str, Any]:
    found = {}
    for topic in topics:
        pages = client.get_paginator("list_subscriptions_by_topic").paginate(
            TopicArn=f"arn:aws:sns:{region}:{ACCOUNT}:{topic}"
        )
        async for page in pages:
            for subscription in page["Subscriptions"]:
                arn = subscription.get("SubscriptionArn", "")
                attributes = (await client.get_subscription_attributes(SubscriptionArn=arn))["Attributes"]
                queue = _last(attributes["Endpoint"])
                consumer: dict[str, Any] = {
                    "protocol": attributes["Protocol"],
                    "endpoint": {"name": queue},
                    "rawMessageDelivery": attributes["RawMessageDelivery"] == "true",
                }
                if "FilterPolicy" in attributes:
                    consumer["filterPolicy"] = json.loads(attributes["FilterPolicy"])
                    consumer["filterPolicyScope"] = attributes["FilterPolicyScope"]
                if "RedrivePolicy" in attributes:
                    target = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
                    consumer["redrivePolicy"] = {"deadLetterQueue": {"name": _last(target)}}
                found[f"{topic} -> {queue}"] = consumer
    return found


def _compared(kind: str, documented: dict[str, Any], reported: dict[str, Any]) -> list[str]:
    return [
        f"{kind} {name}: documented is {documented.get(name)}, reported is {reported.get(name)}"
        for name in sorted({*documented, *reported})
        if documented.get(name) != reported.get(name)
    ]


def _own(tags: dict[str, str]) -> dict[str, str]:
    """The tags without those of CloudFormation and of the stack."""
    return {key: value for key, value in tags.items() if key in ("application", "service")}


def _last(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
