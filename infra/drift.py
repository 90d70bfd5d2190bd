"""Compares the broker with the templates: finds resources that are missing, changed or undeclared."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from event_trio.broker.aws import Aws, is_not_found, sns, sqs
from event_trio.outbox.limits import DEFAULT_BYTES
from infra import manifest
from infra.declaration import Account, Declaration, Properties
from infra.deploy import connect, stack_name
from infra.manifest import Template
from infra.template_yaml import Value

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient


# Properties that are not attributes, or whose change would replace the resource.
IGNORED = frozenset({"QueueName", "TopicName", "FifoTopic", "Tags", "Protocol", "Endpoint", "TopicArn"})
# Attributes of topics that LocalStack's CloudFormation drops or does not update, and that its topics ignore.
IGNORED_LOCALLY = frozenset({"FifoThroughputScope", "MaximumMessageSize"})
# Attributes that must not be added, such as a filter on a publish check, which would hide events from it.
WATCHED_TOPIC = frozenset({"KmsMasterKeyId"})
WATCHED_QUEUE = frozenset({"RedrivePolicy", "KmsMasterKeyId"})
WATCHED_SUBSCRIPTION = frozenset({"FilterPolicy", "RedrivePolicy"})


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute that differs from its declaration."""

    template: str
    resource: str
    attribute: str
    declared: str
    found: str

    def __str__(self) -> str:
        return f"{self.template}: {self.resource}: {self.attribute} is {self.found}, declared is {self.declared}"


async def differences(
    aws: Aws, *, prefix: str = "", templates: Sequence[Path] | None = None, message_bytes: int | None = None
) -> list[Difference]:
    """Every difference under the prefix. Errors of the broker are not caught.

    `message_bytes` is MESSAGE_BYTES of writers and relays: a topic or queue with a lower limit is a difference.
    """
    found: list[Difference] = []
    subscribers: dict[str, set[str]] = {}
    async with connect(aws) as stacks, sqs(aws) as queues, sns(aws) as topics:
        broker = _BrokerComparison(
            queues, topics, frozenset() if aws.endpoint_url is None else IGNORED_LOCALLY, message_bytes or 0
        )
        for template in manifest.load(templates):
            stack = await stacks.find(stack_name(prefix, template.name))
            if stack is None:
                found.append(Difference(template.name, "its stack", "existence", "present", "missing"))
                continue
            account = Account.of(stack)
            declared = Declaration(template.body, {"Prefix": prefix, **stack.parameters}, account)
            found += [difference async for difference in broker.compare(template, declared, subscribers)]
        found += [difference async for difference in broker.undeclared_subscriptions(subscribers)]
    return found


_Differences: TypeAlias = AsyncIterator[Difference]


class _BrokerComparison:
    def __init__(
        self, queues: SQSClient, topics: SNSClient, ignored_of_topics: frozenset[str], message_bytes: int
    ) -> None:
        self._queues = queues
        self._topics = topics
        self._ignored_of_topics = ignored_of_topics
        self._message_bytes = message_bytes

    async def compare(
        self, template: Template, declared: Declaration, subscribers: dict[str, set[str]]
    ) -> _Differences:
        policies = {
            target: policy["PolicyDocument"]
            for kind, key in (("AWS::SQS::QueuePolicy", "Queues"), ("AWS::SNS::TopicPolicy", "Topics"))
            for _, policy in declared.resources(kind)
            for target in policy[key]
        }
        for logical_id, topic in declared.resources("AWS::SNS::Topic"):
            (arn,) = [target for target in policies if target.endswith(f":{topic['TopicName']}")]
            subscribers.setdefault(arn, set())
            compared = {name: value for name, value in topic.items() if name not in self._ignored_of_topics}
            wanted = {**compared, "Policy": policies[arn]}
            attributes = await self._topic(arn)
            for difference in (*self._compared(wanted, attributes, WATCHED_TOPIC), *self._too_small(attributes)):
                yield Difference(template.name, logical_id, *difference)
        for logical_id, queue in declared.resources("AWS::SQS::Queue"):
            (policy,) = [document for arn, document in policies.items() if arn.endswith(f":{queue['QueueName']}")]
            wanted = {**queue, "Policy": policy}
            attributes = await self._queue(queue["QueueName"])
            for difference in (*self._compared(wanted, attributes, WATCHED_QUEUE), *self._too_small(attributes)):
                yield Difference(template.name, logical_id, *difference)
        for logical_id, subscription in declared.resources("AWS::SNS::Subscription"):
            endpoint = subscription["Endpoint"]
            subscribers.setdefault(subscription["TopicArn"], set()).add(endpoint)
            attributes = await self._subscription(subscription["TopicArn"], endpoint)
            for difference in self._compared(subscription, attributes, WATCHED_SUBSCRIPTION):
                yield Difference(template.name, logical_id, *difference)

    async def undeclared_subscriptions(self, subscribers: Mapping[str, set[str]]) -> _Differences:
        for arn, known in subscribers.items():
            for endpoint in sorted(set(await self._subscriptions(arn)) - known):
                yield Difference(_last(arn), "a subscription", "endpoint", "not declared", endpoint)

    def _compared(
        self, declared: Properties, found: Mapping[str, str] | None, watched: frozenset[str]
    ) -> Iterator[tuple[str, str, str]]:
        """The name, the declared value and the actual value of each attribute that differs."""
        if found is None:
            yield "existence", "present", "missing"
            return
        for name in sorted((set(declared) | watched) - IGNORED):
            wanted, actual = _canonical(declared.get(name)), _canonical(found.get(name))
            if wanted != actual:
                yield name, _shown(wanted), _shown(actual)

    def _too_small(self, found: Mapping[str, str] | None) -> Iterator[tuple[str, str, str]]:
        limit = int((found or {}).get("MaximumMessageSize", DEFAULT_BYTES))
        if found is not None and limit < self._message_bytes:
            yield "MaximumMessageSize", f"at least {self._message_bytes} (MESSAGE_BYTES)", str(limit)

    async def _queue(self, name: str) -> Mapping[str, str] | None:
        try:
            url = (await self._queues.get_queue_url(QueueName=name))["QueueUrl"]
            answer = await self._queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        except self._queues.exceptions.ClientError as error:
            _ensure_not_found(error)
            return None
        return {str(attribute): value for attribute, value in answer.get("Attributes", {}).items()}

    async def _topic(self, arn: str) -> Mapping[str, str] | None:
        try:
            return (await self._topics.get_topic_attributes(TopicArn=arn))["Attributes"]
        except self._topics.exceptions.ClientError as error:
            _ensure_not_found(error)
            return None

    async def _subscription(self, topic: str, endpoint: str) -> Mapping[str, str] | None:
        try:
            arn = (await self._subscriptions(topic)).get(endpoint)
            if arn is None:
                return None
            return (await self._topics.get_subscription_attributes(SubscriptionArn=arn))["Attributes"]
        except self._topics.exceptions.ClientError as error:
            _ensure_not_found(error)
            return None

    async def _subscriptions(self, topic: str) -> dict[str, str]:
        pages = self._topics.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        try:
            return {
                found.get("Endpoint", ""): found.get("SubscriptionArn", "")
                async for page in pages
                for found in page.get("Subscriptions", [])
            }
        except self._topics.exceptions.ClientError as error:
            _ensure_not_found(error)
            return {}


def _canonical(value: Value) -> Value:
    """The value in one form: a template and the API write numbers, booleans, JSON and lists of one differently."""
    if isinstance(value, str) and value[:1] == "{":
        value = json.loads(value)
    if isinstance(value, Mapping):
        if "Statement" in value:
            return {statement.get("Sid", ""): _statement(statement) for statement in value["Statement"]}
        return {key: _canonical(item) for key, item in value.items()} or None
    if isinstance(value, list):
        return sorted((_canonical(item) for item in value), key=str)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value or None


def _statement(statement: Properties) -> Properties:
    found = {key: [item] if isinstance(item, str) else item for key, item in statement.items() if key != "Sid"}
    found["Action"] = [action.lower() for action in found["Action"]]
    return {key: _canonical(item) for key, item in found.items()}


def _shown(value: Value) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _ensure_not_found(error: Exception) -> None:
    """Raises the error again unless it means that the resource does not exist."""
    if not is_not_found(error):
        raise error


def _last(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
