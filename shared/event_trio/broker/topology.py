"""Reads topics, queues and subscriptions as they exist in the broker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BrokerUnavailable
from .aws import BROKER_FAULTS, error_code, is_not_found
from .queue import Queue

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient

SUBSCRIPTIONS = 100
"""At most so many subscriptions of a topic are described."""


@dataclass(frozen=True, slots=True)
class QueueDescription:
    """A queue. `problem` says why it could not be read; everything but the name is then unknown."""

    name: str
    exists: bool
    problem: str | None = None
    arn: str | None = None
    messages: int | None = None
    """Messages that can be received, approximately."""
    in_flight: int | None = None
    """Messages that were received and not deleted yet, approximately."""
    retention_seconds: int | None = None
    high_throughput: bool | None = None
    """Whether deduplication and throughput are of each message group."""
    dead_letter_queue: str | None = None
    max_receive_count: int | None = None
    senders: tuple[str, ...] = ()
    """The topics that its policy allows to send messages."""


@dataclass(frozen=True, slots=True)
class SubscriptionDescription:
    """A subscription of a topic, by the name of its queue."""

    queue: str
    raw_delivery: bool
    types: tuple[str, ...] | None
    """The event types that its filter accepts; None if it does not filter by type."""
    undelivered_queue: str | None


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic and its subscriptions. `problem` says why it, or only they, could not be read."""

    name: str
    exists: bool
    problem: str | None = None
    subscriptions: tuple[SubscriptionDescription, ...] | None = None
    """None if they could not be read."""


@dataclass(frozen=True, slots=True)
class ConsumerTopology:
    """The queues and the subscription of a consumer; all None where a service consumes nothing."""

    topic: TopicDescription | None = None
    """With the subscription of this consumer only."""
    queue: QueueDescription | None = None
    dead_letter_queue: QueueDescription | None = None
    undelivered_queue: QueueDescription | None = None
    handles: tuple[tuple[str, str], ...] = ()
    """The event types that have a handler, each with its failure policy."""


async def describe_queue(queue: Queue) -> QueueDescription:
    """Describe a queue; never raises BrokerUnavailable."""
    try:
        found = await queue.attributes()
    except BrokerUnavailable as error:
        return QueueDescription(queue.name, exists=not queue.missing, problem=str(error))
    redrive = _object(found.get("RedrivePolicy"))
    return QueueDescription(
        queue.name,
        exists=True,
        arn=found.get("QueueArn"),
        messages=int(found.get("ApproximateNumberOfMessages", "0")),
        in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible", "0")),
        retention_seconds=int(found.get("MessageRetentionPeriod", "0")),
        high_throughput=found.get("FifoThroughputLimit") == "perMessageGroupId",
        dead_letter_queue=_name(redrive.get("deadLetterTargetArn")),
        max_receive_count=int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None,
        senders=_senders(_object(found.get("Policy"))),
    )


async def describe_topic(client: SNSClient, arn: str, *, only: str | None = None) -> TopicDescription:
    """Describe a topic with its subscriptions, or `only` that of the queue with this ARN; never raises
    BrokerUnavailable.
    """
    name = _name(arn) or arn
    try:
        pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
        listed = [each async for page in pages for each in page["Subscriptions"]]
        wanted = [each for each in listed if only is None or each.get("Endpoint") == only][:SUBSCRIPTIONS]
        described = [await _subscription(client, each["SubscriptionArn"], each["Endpoint"]) for each in wanted]
    except BROKER_FAULTS as error:
        problem = f"cannot read the subscriptions of topic {name}: {error_code(error)}"
        return TopicDescription(name, exists=not is_not_found(error), problem=problem)
    return TopicDescription(name, exists=True, subscriptions=tuple(sorted(described, key=lambda each: each.queue)))


async def _subscription(client: SNSClient, arn: str, endpoint: str) -> SubscriptionDescription:
    found = (await client.get_subscription_attributes(SubscriptionArn=arn))["Attributes"]
    types = _object(found.get("FilterPolicy")).get("type")
    return SubscriptionDescription(
        queue=_name(endpoint) or endpoint,
        raw_delivery=found.get("RawMessageDelivery") == "true",
        types=None if types is None else tuple(sorted(map(str, types))),
        undelivered_queue=_name(_object(found.get("RedrivePolicy")).get("deadLetterTargetArn")),
    )


def _senders(policy: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources of the statements that let SNS send messages."""
    found: set[str] = set()
    for statement in policy.get("Statement", []):
        actions = {action.lower() for action in _list(statement.get("Action"))}
        if statement.get("Effect") != "Allow" or not actions & {"sqs:sendmessage", "sqs:*", "*"}:
            continue
        conditions = statement.get("Condition", {})
        for operator in conditions.values():
            found |= {_name(arn) or arn for arn in _list(operator.get("aws:SourceArn"))}
        if not conditions:
            found.add("*")
    return tuple(sorted(found))


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _list(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _name(arn: str | None) -> str | None:
    """The last part of an ARN."""
    return arn.rpartition(":")[2] if arn else None
