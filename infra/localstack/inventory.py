"""What of the topology is there, compared with what its stacks say: CloudFormation itself never looks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from shared.aws import error_code

from ..deploy import stack_name
from ..manifest import Template
from ..stacks import Resource, Stacks

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

QUEUE = "AWS::SQS::Queue"
TOPIC = "AWS::SNS::Topic"
SUBSCRIPTION = "AWS::SNS::Subscription"

# The resources of the stacks, by the names of their templates.
Declared: TypeAlias = Mapping[str, Sequence[Resource]]

GONE = ("NotFound", "NotFoundException")


@dataclass(frozen=True, slots=True)
class Missing:
    """Resources that a template's stack should have and the broker has not; none at all if there is no stack."""

    template: str
    resources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.template} ({', '.join(self.resources) or 'its stack'})"


async def declared(stacks: Stacks, prefix: str, templates: Iterable[Template]) -> Declared:
    """The resources of each template's stack; they change only with a deployment."""
    return {template.name: await stacks.resources(stack_name(prefix, template.name)) for template in templates}


class Broker:
    """What there is under a prefix. Faults of the broker pass through."""

    def __init__(self, sns: SNSClient, sqs: SQSClient, prefix: str) -> None:
        self._sns = sns
        self._sqs = sqs
        self._prefix = prefix

    async def missing(self, expected: Declared) -> list[Missing]:
        """What is not there, in one call for all queues and one for each topic."""
        there = await self._queues()
        for resource in chain.from_iterable(expected.values()):
            if resource.type == TOPIC:
                there |= await self._subscriptions(resource.physical_id)
        found = []
        for template, resources in expected.items():
            absent = [part.logical_id for part in resources if _is_watched(part) and _key(part) not in there]
            if absent or not resources:
                found.append(Missing(template, tuple(absent)))
        return found

    async def _queues(self) -> set[str]:
        pages = self._sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=self._prefix, PaginationConfig={"PageSize": 1000}
        )
        return {_name(url) async for page in pages for url in page.get("QueueUrls", [])}

    async def _subscriptions(self, topic: str) -> set[str]:
        """The topic and its subscriptions; nothing when the topic is gone: what it carried is gone with it."""
        pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        try:
            return {topic} | {found["SubscriptionArn"] async for page in pages for found in page["Subscriptions"]}
        except self._sns.exceptions.ClientError as error:
            if error_code(error) not in GONE:
                raise
            return set()


def _is_watched(resource: Resource) -> bool:
    return resource.type in (QUEUE, TOPIC, SUBSCRIPTION)


def _key(resource: Resource) -> str:
    return _name(resource.physical_id) if resource.type == QUEUE else resource.physical_id


def _name(queue_url: str) -> str:
    return queue_url.rsplit("/", 1)[-1]
