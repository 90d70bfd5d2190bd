"""The deploy command on LocalStack: it is idempotent, updates stacks, recovers, and reports failures."""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws, cloudformation, sns, sqs
from event_trio.broker.names import BrokerNames
from event_trio.broker.queue import Queue
from event_trio.errors import ConfigurationError
from infra.deploy import StackProgress, delete, deploy, stack_name
from infra.manifest import TEMPLATES
from infra.stacks import StackFailed

TOPIC = TEMPLATES / "order-events.yaml"
SUBSCRIBER = TEMPLATES / "notification-order-events.yaml"


@pytest.fixture
async def prefix(aws: Aws) -> AsyncIterator[str]:
    """A prefix without a deployment; its stacks are deleted afterwards."""
    name = f"t{secrets.token_hex(4)}-"
    yield name
    await delete(aws, prefix=name)


async def test_a_repeated_deployment_changes_nothing(aws: Aws, prefix: str) -> None:
    seen: list[StackProgress] = []
    first = await deploy(aws, prefix=prefix, on_progress=seen.append)
    names = BrokerNames(prefix)
    assert first["order-events"]["TopicName"] == names.topic("order-events")
    assert first["notification-order-events"]["QueueName"] == names.queue("notification", "order-events")
    assert first["order-events-publish-check"]["QueueName"] == names.publish_check("order-events")
    assert {progress.change.value for progress in seen} == {"created"}
    seen.clear()
    assert await deploy(aws, prefix=prefix, on_progress=seen.append) == first
    assert [progress.change.value for progress in seen] == ["unchanged"] * len(first)


async def test_a_changed_template_updates_its_stack(aws: Aws, prefix: str, tmp_path: Path) -> None:
    await deploy(aws, prefix=prefix, templates=[TOPIC, SUBSCRIBER])
    changed = tmp_path / SUBSCRIBER.name
    changed.write_text(SUBSCRIBER.read_text().replace("VisibilityTimeout: 60", "VisibilityTimeout: 90"))
    seen: list[StackProgress] = []
    await deploy(aws, prefix=prefix, templates=[TOPIC, changed], on_progress=seen.append)
    assert {progress.template: progress.change.value for progress in seen} == {
        "order-events": "unchanged",
        "notification-order-events": "updated",
    }
    async with sqs(aws) as client:
        attributes = await Queue(client, BrokerNames(prefix).queue("notification", "order-events")).attributes()
    assert attributes["VisibilityTimeout"] == "90"


async def test_the_broker_has_the_attributes_of_the_templates(aws: Aws, prefix: str) -> None:
    outputs = await deploy(aws, prefix=prefix)
    async with sqs(aws) as queues, sns(aws) as topics:
        queue = await Queue(queues, outputs["notification-order-events"]["QueueName"]).attributes()
        arn = outputs["notification-order-events"]["SubscriptionArn"]
        subscription = (await topics.get_subscription_attributes(SubscriptionArn=arn))["Attributes"]
        check = outputs["order-events-publish-check"]["SubscriptionArn"]
        unfiltered = (await topics.get_subscription_attributes(SubscriptionArn=check))["Attributes"]
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"
    assert outputs["order-events"]["TopicArn"] in queue["Policy"]
    assert queue["SqsManagedSseEnabled"] == "true"
    assert subscription["RawMessageDelivery"] == "true"
    assert "order.placed" in subscription["FilterPolicy"]
    assert "-undelivered.fifo" in subscription["RedrivePolicy"]
    assert unfiltered["RawMessageDelivery"] == "true"
    assert not {"FilterPolicy", "RedrivePolicy"} & set(unfiltered)


async def test_new_queues_follow_the_throughput_of_their_topic(aws: Aws, prefix: str) -> None:
    await deploy(aws, prefix=prefix, templates=[TOPIC], throughput="standard")
    await deploy(aws, prefix=prefix, templates=[TOPIC, SUBSCRIBER])
    async with sqs(aws) as client:
        attributes = await Queue(client, BrokerNames(prefix).queue("notification", "order-events")).attributes()
    assert (attributes["DeduplicationScope"], attributes["FifoThroughputLimit"]) == ("queue", "perQueue")
    await deploy(aws, prefix=prefix, templates=[TOPIC, SUBSCRIBER], throughput="high")
    with pytest.raises(ConfigurationError, match="cannot be changed back"):
        await deploy(aws, prefix=prefix, templates=[TOPIC, SUBSCRIBER], throughput="standard")


async def test_a_failed_stack_is_reported_and_recreated(aws: Aws, prefix: str) -> None:
    topic = (await deploy(aws, prefix=prefix, templates=[TOPIC]))["order-events"]["TopicArn"]
    async with sns(aws) as client:
        await client.delete_topic(TopicArn=topic)  # so the subscription fails
    with pytest.raises(StackFailed, match=r"notification-order-events could not be created.*Subscription"):
        await deploy(aws, prefix=prefix, templates=[TOPIC, SUBSCRIBER])
    await delete(aws, prefix=prefix, only=["order-events"])
    outputs = await deploy(aws, prefix=prefix)
    assert outputs["notification-order-events"]["SubscriptionArn"]


async def test_an_unreviewed_change_set_does_not_prevent_a_deployment(aws: Aws, prefix: str) -> None:
    async with cloudformation(aws) as client:
        await client.create_change_set(
            StackName=stack_name(prefix, "order-events"),
            ChangeSetName="left-over",
            ChangeSetType="CREATE",
            TemplateBody=TOPIC.read_text(),
            Parameters=[{"ParameterKey": "Prefix", "ParameterValue": prefix}],
        )
    outputs = await deploy(aws, prefix=prefix, templates=[TOPIC])
    assert outputs["order-events"]["TopicName"] == BrokerNames(prefix).topic("order-events")


async def test_a_deletion_is_complete_and_can_be_repeated(aws: Aws, prefix: str) -> None:
    await deploy(aws, prefix=prefix)
    await delete(aws, prefix=prefix)
    seen: list[StackProgress] = []
    await delete(aws, prefix=prefix, on_progress=seen.append)
    assert {progress.change.value for progress in seen} == {"unchanged"}
    async with sqs(aws) as client:
        assert "QueueUrls" not in await client.list_queues(QueueNamePrefix=prefix)


async def test_a_deletion_ignores_missing_resources(aws: Aws, prefix: str) -> None:
    outputs = await deploy(aws, prefix=prefix)
    async with sqs(aws) as client:
        await client.delete_queue(QueueUrl=outputs["notification-order-events"]["QueueUrl"])
    await delete(aws, prefix=prefix)
    async with sqs(aws) as client:
        assert "QueueUrls" not in await client.list_queues(QueueNamePrefix=prefix)


async def test_an_invalid_prefix_is_rejected(aws: Aws) -> None:
    for invalid in ("under_score", "x" * 31, "a.b"):
        with pytest.raises(ConfigurationError, match="prefix"):
            await deploy(aws, prefix=invalid)


async def test_the_command_deploys_and_deletes(aws: Aws, prefix: str) -> None:
    deployed = command("--prefix", prefix, "--endpoint-url", str(aws.endpoint_url))
    assert deployed.returncode == 0, deployed.stderr
    assert f"event-trio-{prefix}order-events: created" in deployed.stdout
    deleted = command("--prefix", prefix, "--endpoint-url", str(aws.endpoint_url), "--delete")
    assert deleted.returncode == 0, deleted.stderr
    assert f"event-trio-{prefix}order-events: deleted" in deleted.stdout


def test_the_command_reports_errors() -> None:
    unreachable = command("--endpoint-url", "http://127.0.0.1:9")
    assert unreachable.returncode == 1
    assert unreachable.stderr.startswith("error: a request to http://127.0.0.1:9 failed")
    unconfirmed = command("--delete")
    assert unconfirmed.returncode == 1
    assert "--yes" in unconfirmed.stderr


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy", *arguments],
        cwd=TEMPLATES.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
