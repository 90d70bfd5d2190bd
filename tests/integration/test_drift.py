"""Changes of the broker outside of CloudFormation are found."""

import asyncio
import json
import secrets

import pytest

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames, dead_letters
from event_trio.broker.queue import Queue
from event_trio.outbox.limits import DEFAULT_BYTES
from event_trio.signals import Signals
from infra.check import DIFFERENT, run
from infra.deploy import delete, deploy
from infra.drift import Difference, differences
from infra.localstack.watch import TopologyWatch
from infra.manifest import TEMPLATES
from tests.support.topologies import deployed


class Altering:
    """Changes a deployed topology."""

    def __init__(self, aws: Aws, names: BrokerNames) -> None:
        self.aws = aws
        self.names = names
        self.queue = names.queue("notification", "order-events")
        self.topic = f"arn:aws:sns:{aws.region}:000000000000:{names.topic('order-events')}"

    async def set_queue(self, **attributes: str) -> None:
        async with sqs(self.aws) as client:
            url = await Queue(client, self.queue).url()
            await client.set_queue_attributes(QueueUrl=url, Attributes=attributes)  # type: ignore[arg-type]

    async def delete_queue(self, name: str) -> None:
        async with sqs(self.aws) as client:
            await client.delete_queue(QueueUrl=await Queue(client, name).url())

    async def set_subscription(self, endpoint: str, name: str, value: str) -> None:
        async with sns(self.aws) as client:
            found = (await client.list_subscriptions_by_topic(TopicArn=self.topic))["Subscriptions"]
            (arn,) = [each["SubscriptionArn"] for each in found if each["Endpoint"].endswith(f":{endpoint}")]
            await client.set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)

    async def subscribe(self, endpoint: str) -> None:
        arn = f"arn:aws:sqs:{self.aws.region}:000000000000:{endpoint}"
        async with sns(self.aws) as client:
            await client.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)


async def found(altering: Altering) -> list[Difference]:
    return await differences(altering.aws, prefix=altering.names.prefix)


async def test_every_difference_is_found(aws: Aws) -> None:
    async with deployed(aws) as names:
        altering = Altering(aws, names)
        assert await found(altering) == []
        await altering.set_queue(VisibilityTimeout="90")
        await altering.set_subscription(altering.queue, "RawMessageDelivery", "false")
        await altering.set_subscription(altering.queue, "FilterPolicy", json.dumps({"type": ["order.placed"]}))
        await altering.set_subscription(names.publish_check("order-events"), "FilterPolicy", '{"type": ["x"]}')
        policy = {"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Principal": "*",
                  "Action": "sqs:*", "Resource": "*"}]}  # fmt: skip
        await altering.set_queue(Policy=json.dumps(policy), RedrivePolicy="")
        await altering.delete_queue(names.publish_check("notification-events"))
        await altering.subscribe(dead_letters(altering.queue))
        named = {(each.template, each.resource, each.attribute): each.found for each in await found(altering)}
    subscriber, check = "notification-order-events", "order-events-publish-check"
    undeclared = (names.topic("order-events"), "a subscription", "endpoint")
    assert set(named) == {
        (subscriber, "Queue", "VisibilityTimeout"),
        (subscriber, "Queue", "Policy"),
        (subscriber, "Queue", "RedrivePolicy"),
        (subscriber, "Subscription", "RawMessageDelivery"),
        (subscriber, "Subscription", "FilterPolicy"),
        (check, "Subscription", "FilterPolicy"),
        ("notification-events-publish-check", "Queue", "existence"),
        undeclared,
    }
    assert named[(subscriber, "Queue", "VisibilityTimeout")] == "90"
    assert named[undeclared].endswith(dead_letters(altering.queue))


async def test_parameters_of_the_stacks_are_not_differences(aws: Aws) -> None:
    prefix = f"t{secrets.token_hex(4)}-"
    try:
        await deploy(aws, prefix=prefix, throughput="standard")
        assert await differences(aws, prefix=prefix) == []
    finally:
        await delete(aws, prefix=prefix)


async def test_a_topic_with_a_lower_limit_than_the_writers_is_found(aws: Aws) -> None:
    """An event of a size between the two limits would be recorded, and rejected by the broker each time."""
    prefix, templates = f"t{secrets.token_hex(4)}-", [TEMPLATES / "order-events.yaml"]
    try:
        # Topics of LocalStack have the default limit only.
        await deploy(aws, prefix=prefix, templates=templates)
        assert await differences(aws, prefix=prefix, templates=templates, message_bytes=DEFAULT_BYTES) == []
        [named] = await differences(aws, prefix=prefix, templates=templates, message_bytes=DEFAULT_BYTES + 1)
        assert str(named) == (
            "order-events: Topic: MaximumMessageSize is 262144, declared is at least 262145 (MESSAGE_BYTES)"
        )
    finally:
        await delete(aws, prefix=prefix, templates=templates)


@pytest.mark.parametrize("text", ["much", "1023", "1048577", "-1"])
def test_an_invalid_limit_is_rejected(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["--message-bytes", text])
    assert f"{text!r} is not a number of bytes from 1024 to 1048576" in capsys.readouterr().err


def test_the_command_prints_the_differences(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--prefix", f"t{secrets.token_hex(4)}-", "--endpoint-url", str(aws.endpoint_url)]
    assert run(where) == DIFFERENT
    assert "order-events: its stack: existence is missing, declared is present" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        run(["--endpoint-url", "http://127.0.0.1:9"])
    assert "a request to http://127.0.0.1:9 failed" in capsys.readouterr().err


async def test_the_watch_reports_a_difference_once_and_its_end(aws: Aws) -> None:
    prefix, signals, stopping = f"w{secrets.token_hex(4)}-", Signals(), asyncio.Event()
    watch = TopologyWatch(aws, prefix=prefix, watch_seconds=0.05, compare_seconds=0.1, signals=signals)
    task = asyncio.create_task(watch.run(stopping))
    try:
        await signals.wait("topology.complete", timeout=30.0)
        altering = Altering(aws, BrokerNames(prefix))
        await altering.set_queue(VisibilityTimeout="90")
        reported = await signals.wait("topology.differs", timeout=20.0)
        assert reported["differences"] == ["notification-order-events: Queue: VisibilityTimeout is 90, declared is 60"]
        await altering.set_queue(VisibilityTimeout="60")
        await signals.wait("topology.matches", timeout=20.0)
        assert len(signals.seen("topology.differs")) == 1
    finally:
        stopping.set()
        await task
        await delete(aws, prefix=prefix)
