"""AsyncAPI bindings of SNS and SQS, from the resources that the templates declare.

https://github.com/asyncapi/bindings: `sns` 0.1.0 and `sqs` 0.2.0. Properties without a field there have an `x-` field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.declaration import Properties

SNS_VERSION = "0.1.0"
SQS_VERSION = "0.2.0"


def topic(declared: Properties) -> dict[str, Any]:
    """The channel binding of a topic."""
    return {
        "name": declared["TopicName"],
        "ordering": {
            "type": "FIFO" if declared["FifoTopic"] else "standard",
            "contentBasedDeduplication": declared["ContentBasedDeduplication"],
        },
        "tags": _tags(declared),
        "x-fifo-throughput-scope": declared["FifoThroughputScope"],
        "x-maximum-message-size": int(declared["MaximumMessageSize"]),
        "bindingVersion": SNS_VERSION,
    }


def queue(declared: Properties) -> dict[str, Any]:
    """A queue, as it is in the bindings of channels and of operations."""
    found = {
        "name": declared["QueueName"],
        "fifoQueue": declared["FifoQueue"],
        "deduplicationScope": declared["DeduplicationScope"],
        "fifoThroughputLimit": declared["FifoThroughputLimit"],
        "visibilityTimeout": declared["VisibilityTimeout"],
        "receiveMessageWaitTime": declared["ReceiveMessageWaitTimeSeconds"],
        "messageRetentionPeriod": declared["MessageRetentionPeriod"],
        "tags": _tags(declared),
        "x-content-based-deduplication": declared["ContentBasedDeduplication"],
        "x-maximum-message-size": declared["MaximumMessageSize"],
    }
    if "RedrivePolicy" in declared:
        redrive = declared["RedrivePolicy"]
        found["redrivePolicy"] = {**_dead_letter_queue(redrive), "maxReceiveCount": redrive["maxReceiveCount"]}
    return found


def consumer(declared: Properties) -> dict[str, Any]:
    """A consumer in the operation binding of a topic: the subscription of a queue."""
    found: dict[str, Any] = {
        "protocol": declared["Protocol"],
        "endpoint": {"name": _last(declared["Endpoint"])},
        "rawMessageDelivery": declared["RawMessageDelivery"],
    }
    if "FilterPolicy" in declared:
        found["filterPolicy"] = declared["FilterPolicy"]
        found["filterPolicyScope"] = declared["FilterPolicyScope"]
    if "RedrivePolicy" in declared:
        found["redrivePolicy"] = _dead_letter_queue(declared["RedrivePolicy"])
    return found


def _dead_letter_queue(redrive: Mapping[str, Any]) -> dict[str, Any]:
    return {"deadLetterQueue": {"name": _last(redrive["deadLetterTargetArn"])}}


def _tags(declared: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in declared["Tags"]}


def _last(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
