"""Finds the resources of stacks that no longer exist, which CloudFormation does not check after a deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from event_trio.broker.aws import is_not_found
from infra.deploy import stack_name
from infra.manifest import Template
from infra.stacks import Resource, Stacks

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

QUEUE = "AWS::SQS::Queue"
TOPIC = "AWS::SNS::Topic"
SUBSCRIPTION = "AWS::SNS::Subscription"

# The resources of the stacks, by the names of their templates.
DeclaredResources: TypeAlias = Mapping[str, Sequence[Resource]]


@dataclass(frozen=True, slots=True)
class MissingResources:
    """The resources of a stack that do not exist; empty when the stack itself does not exist."""

    template: str
    resources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.template} ({', '.join(self.resources) or 'its stack'})"


async def declared_resources(stacks: Stacks, prefix: str, templates: Iterable[Template]) -> DeclaredResources:
    """The resources of the stack of each template; they change only with a deployment."""
    return {template.name: await stacks.resources(stack_name(prefix, template.name)) for template in templates}


class BrokerInventory:
    """The resources that exist under a prefix. Errors of the broker are not caught."""

    def __init__(self, sns: SNSClient, sqs: SQSClient, prefix: str) -> None:
        self._sns = sns
        self._sqs = sqs
        self._prefix = prefix

    async def missing(self, expected: DeclaredResources) -> list[MissingResources]:
        """The missing resources, with one call for all queues and one for each topic and subscription."""
        queues = await self._queues()
        found = []
        for template, resources in expected.items():
            absent = [part.logical_id for part in resources if not await self._exists(part, queues)]
            if absent or not resources:
                found.append(MissingResources(template, tuple(absent)))
        return found

    async def _queues(self) -> set[str]:
        pages = self._sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=self._prefix, PaginationConfig={"PageSize": 1000}
        )
        return {_name(url) async for page in pages for url in page.get("QueueUrls", [])}

    async def _exists(self, resource: Resource, queues: set[str]) -> bool:
        try:
            if resource.type == QUEUE:
                return _name(resource.physical_id) in queues
            if resource.type == TOPIC:
                await self._sns.get_topic_attributes(TopicArn=resource.physical_id)
            elif resource.type == SUBSCRIPTION:
                await self._sns.get_subscription_attributes(SubscriptionArn=resource.physical_id)
        except self._sns.exceptions.ClientError as error:
            if not is_not_found(error):
                raise
            return False
        return True  # a policy exists as long as its queue or topic


def _name(queue_url: str) -> str:
    return queue_url.rsplit("/", 1)[-1]
