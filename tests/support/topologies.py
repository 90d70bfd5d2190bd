"""A topology for one test: the resources of the project's templates, with a unique prefix."""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames
from infra.declaration import Account, Declaration
from infra.manifest import load

ACCOUNT = Account("aws", "us-east-1", "000000000000")
QUEUE, QUEUE_POLICY = "AWS::SQS::Queue", "AWS::SQS::QueuePolicy"
TOPIC, TOPIC_POLICY = "AWS::SNS::Topic", "AWS::SNS::TopicPolicy"
SUBSCRIPTION = "AWS::SNS::Subscription"
KINDS = (QUEUE, QUEUE_POLICY, TOPIC, TOPIC_POLICY, SUBSCRIPTION)
MARK = "<prefix>"
NAMES = frozenset({"QueueName", "TopicName", "Tags", "Protocol", "Endpoint", "TopicArn"})

Resources = dict[str, list[dict[str, Any]]]
"""Properties by type."""


@asynccontextmanager
async def deployed(aws: Aws) -> AsyncIterator[BrokerNames]:
    """Deploy all templates, and delete the stacks at the end."""
    from infra.deploy import delete, deploy  # only tests with stacks need the client of CloudFormation

    prefix = _prefix()
    try:
        await deploy(aws, prefix=prefix)
        yield BrokerNames(prefix)
    finally:
        await delete(aws, prefix=prefix)


@asynccontextmanager
async def created(aws: Aws) -> AsyncIterator[BrokerNames]:
    """Create what the templates declare without CloudFormation, which takes LocalStack ten times as long.

    A test compares the two. There are no stacks, so tests of stacks use `deployed`.
    """
    creation = _Creation(_prefix())
    async with sns(aws) as topics, sqs(aws) as queues:
        try:
            for declared in json.loads(_declared().replace(MARK, creation.prefix)):
                await creation.apply(declared, topics, queues)
            yield BrokerNames(creation.prefix)
        finally:
            for arn in creation.topics:
                await topics.delete_topic(TopicArn=arn)
            for url in creation.queues:
                with contextlib.suppress(queues.exceptions.QueueDoesNotExist):  # some tests delete one
                    await queues.delete_queue(QueueUrl=url)


@dataclass
class _Creation:
    """What was created. Templates come in the order of their deployment."""

    prefix: str
    topics: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)

    async def apply(self, declared: Resources, topics: Any, queues: Any) -> None:
        policies = {
            target.rpartition(":")[2]: policy["PolicyDocument"]
            for kind, key in ((QUEUE_POLICY, "Queues"), (TOPIC_POLICY, "Topics"))
            for policy in declared[kind]
            for target in policy[key]
        }
        for topic in declared[TOPIC]:
            name = topic["TopicName"]
            made = await topics.create_topic(Name=name, Attributes=_texts(topic, Policy=policies[name]))
            self.topics.append(made["TopicArn"])
        # A redrive policy names a queue, which must exist.
        for queue in sorted(declared[QUEUE], key=lambda found: "RedrivePolicy" in found):
            name = queue["QueueName"]
            made = await queues.create_queue(QueueName=name, Attributes=_texts(queue, Policy=policies[name]))
            self.queues.append(made["QueueUrl"])
        for subscription in declared[SUBSCRIPTION]:
            await topics.subscribe(
                TopicArn=subscription["TopicArn"],
                Protocol=subscription["Protocol"],
                Endpoint=subscription["Endpoint"],
                Attributes=_texts(subscription),
            )


@cache
def _declared() -> str:
    """The resources of each template by type, with a mark where the prefix goes: YAML takes long to parse."""
    found = [Declaration(template.body, {"Prefix": MARK}, ACCOUNT) for template in load()]
    return json.dumps([{kind: [each for _, each in one.resources(kind)] for kind in KINDS} for one in found])


def _texts(properties: Mapping[str, Any], **more: Any) -> dict[str, str]:
    """Attributes as the API takes them: texts, of which some are JSON."""
    given = {name: value for name, value in properties.items() if name not in NAMES}
    return {name: _text(value) for name, value in (given | more).items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _prefix() -> str:
    return f"t{secrets.token_hex(4)}-"
