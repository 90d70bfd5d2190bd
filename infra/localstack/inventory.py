"""What of the topology is there, compared with what its stacks say: CloudFormation itself never looks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from event_trio.broker.aws import error_code
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
Declared: TypeAlias = Mapping[str, Sequence[Resource]]

GONE = ("NotFound", "NotFoundException")


@dataclass(frozen=True, slots=True)
class MissingResources:
    """Resources that a template's stack should have and the broker has not; none at all if there is no stack."""

    template: str
    resources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.template} ({', '.join(self.resources) or 'its stack'})"


async def declared(stacks: Stacks, prefix: str, templates: Iterable[Template]) -> Declared:
    """The resources of each template's stack; they change only with a deployment."""
    return {template.name: await stacks.resources(stack_name(prefix, template.name)) for template in templates}


class BrokerInventory:
    """What there is under a prefix. Faults of the broker pass through."""

    def __init__(self, sns: SNSClient, sqs: SQSClient, prefix: str) -> None:
        self._sns = sns
        self._sqs = sqs
        self._prefix = prefix

    async def missing(self, expected: Declared) -> list[MissingResources]:
        """What is not there, in one call for all queues and one for each topic and subscription."""
        queues = await self._queues()
        found = []
        for template, resources in expected.items():
            absent = [part.logical_id for part in resources if not await self._is_there(part, queues)]
            if absent or not resources:
                found.append(MissingResources(template, tuple(absent)))
        return found

    async def _queues(self) -> set[str]:
        pages = self._sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=self._prefix, PaginationConfig={"PageSize": 1000}
        )
        return {_name(url) async for page in pages for url in page.get("QueueUrls", [])}

    async def _is_there(self, resource: Resource, queues: set[str]) -> bool:
        try:
            if resource.type == QUEUE:
                return _name(resource.physical_id) in queues
            if resource.type == TOPIC:
                await self._sns.get_topic_attributes(TopicArn=resource.physical_id)
            elif resource.type == SUBSCRIPTION:
                await self._sns.get_subscription_attributes(SubscriptionArn=resource.physical_id)
        except self._sns.exceptions.ClientError as error:
            if error_code(error) not in GONE:
                raise
            return False
        return True  # a policy goes with its queue or topic


def _name(queue_url: str) -> str:
    return queue_url.rsplit("/", 1)[-1]
