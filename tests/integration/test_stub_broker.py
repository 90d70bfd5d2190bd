"""The stub broker as a process, called by the stock SDK client and by the project's own queue."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.client_choice import ClientChoice
from event_trio.broker.queue import Queue, RejectedMessage
from event_trio.broker.subscription import filtered_types
from tests.support.waiting import eventually

TOPIC, ALL, SOME, ALONE = "events.fifo", "all.fifo", "some.fifo", "alone.fifo"
ARN = f"arn:aws:sns:us-east-1:000000000000:{TOPIC}"
LATENCY_MS = 5


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[StubBrokerProcess]:
    async with stub_broker(
        tmp_path,
        subscriptions=[f"{TOPIC}={ALL}", f"{TOPIC}={SOME}:order.placed,order.shipped"],
        queues=[ALONE],
        latency_ms=LATENCY_MS,
        times=True,
    ) as running:
        yield running


def entry(number: int, *, group: str = "g", type: str = "order.placed", body: str | None = None) -> Any:
    return {
        "Id": str(number),
        "Message": body or json.dumps({"sequence": f"{number:020d}", "note": 'ä "x" & + 100% 한'}),
        "MessageGroupId": group,
        "MessageDeduplicationId": f"{group}-{number}",
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": type}},
    }


@pytest.mark.parametrize("choice", ["lean", "stock"])
async def test_what_is_published_is_received_in_order_by_the_queues_whose_filter_it_passes(
    choice: ClientChoice, stub: StubBrokerProcess
) -> None:
    aws = Aws(endpoint_url=stub.url, client=choice)
    async with sns(aws) as topics, sqs(aws) as queues:
        entries = [entry(1), entry(2, type="order.cancelled"), entry(3, type="order.shipped")]
        answer = await topics.publish_batch(TopicArn=ARN, PublishBatchRequestEntries=entries)
        assert [each["Id"] for each in answer["Successful"]] == ["1", "2", "3"]
        again = await topics.publish_batch(TopicArn=ARN, PublishBatchRequestEntries=entries[:1])
        assert again["Successful"][0]["MessageId"] == answer["Successful"][0]["MessageId"]
        everything, some = Queue(queues, ALL), Queue(queues, SOME)
        messages = await everything.receive(wait_seconds=0, visibility_seconds=30)
        assert [message.body for message in messages] == [each["Message"] for each in entries]
        assert {message.group for message in messages} == {"g"}
        assert [message.deduplication_id for message in messages] == ["g-1", "g-2", "g-3"]
        assert messages[0].attributes == {"type": "order.placed"}
        assert await everything.extend(messages, 60) == []
        assert await everything.delete(messages) == []
        filtered = await some.receive(wait_seconds=0, visibility_seconds=30)
        assert [message.attributes["type"] for message in filtered] == ["order.placed", "order.shipped"]
        queue_arn = (await some.attributes())["QueueArn"]
        assert await filtered_types(topics, topic=TOPIC, queue_arn=queue_arn) == frozenset(
            ("order.placed", "order.shipped")
        )
    report = await stub.report()
    topic = report["topics"][TOPIC]
    assert (topic["published"], topic["duplicates"], topic["order_violations"], topic["missing"]) == (3, 1, 0, 0)
    assert (report["calls"]["PublishBatch"], report["entries"]["PublishBatch"]) == (2, 4)
    assert report["queues"][ALL]["deleted"] == 3
    times = await stub.times()
    assert [row[:3] for row in times["published"]] == [[TOPIC, "g", 1], [TOPIC, "g", 2], [TOPIC, "g", 3]]
    assert [row[:3] for row in times["deleted"]] == [[ALL, "g", 1], [ALL, "g", 2], [ALL, "g", 3]]


async def test_a_long_poll_ends_when_a_message_comes_and_no_answer_is_earlier_than_the_latency(
    stub: StubBrokerProcess,
) -> None:
    async with sqs(Aws(endpoint_url=stub.url)) as client:
        queue = Queue(client, ALONE)
        url = await queue.url()
        began = time.monotonic()
        assert await queue.receive(wait_seconds=0, visibility_seconds=30) == []
        assert time.monotonic() - began >= LATENCY_MS / 1000
        waiting = asyncio.create_task(queue.receive(wait_seconds=20, visibility_seconds=30))

        async def polls() -> bool:
            return bool((await stub.report())["calls"].get("ReceiveMessage") == 2)

        await eventually(polls)
        await client.send_message(
            QueueUrl=url, MessageBody='{"sequence": 1}', MessageGroupId="g", MessageDeduplicationId="1"
        )
        async with asyncio.timeout(5):
            messages = await waiting
        await client.change_message_visibility(
            QueueUrl=url, ReceiptHandle=messages[0].receipt_handle, VisibilityTimeout=0
        )
        again = await queue.receive(wait_seconds=1, visibility_seconds=30)
        assert again[0].receive_count == 2
        stale = await queue.delete(messages)
        assert [isinstance(each, RejectedMessage) and each.is_stale for each in stale] == [True]
        assert await queue.delete(again) == []
        assert (await queue.attributes())["ApproximateNumberOfMessagesNotVisible"] == "0"


@pytest.mark.parametrize("choice", ["lean", "stock"])
async def test_topics_and_queues_are_created_by_calls_and_unknown_ones_are_refused(
    choice: ClientChoice, stub: StubBrokerProcess
) -> None:
    aws = Aws(endpoint_url=stub.url, client=choice)
    async with sns(aws) as topics, sqs(aws) as queues:
        with pytest.raises(ClientError) as missing:
            await queues.get_queue_url(QueueName="new.fifo")
        assert missing.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
        with pytest.raises(ClientError, match="NotFound"):
            await topics.get_topic_attributes(TopicArn=ARN.replace("events", "new"))
        arn = (await topics.create_topic(Name="new.fifo", Attributes={"FifoTopic": "true"}))["TopicArn"]
        await queues.create_queue(QueueName="new.fifo", Attributes={"FifoQueue": "true"})
        queue = Queue(queues, "new.fifo")
        await topics.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=(await queue.attributes())["QueueArn"],
            Attributes={"FilterPolicy": json.dumps({"type": ["a"]}), "RawMessageDelivery": "true"},
        )
        published = [entry(1, type="b", body="past"), entry(2, type="a", body="through")]
        await topics.publish_batch(TopicArn=arn, PublishBatchRequestEntries=published)
        assert [each.body for each in await queue.receive(wait_seconds=0, visibility_seconds=30)] == ["through"]
        with pytest.raises(ClientError, match="TooManyEntries"):
            await topics.publish_batch(TopicArn=arn, PublishBatchRequestEntries=[entry(n) for n in range(11)])


async def test_order_is_judged_and_a_reset_forgets(stub: StubBrokerProcess) -> None:
    async with sns(Aws(endpoint_url=stub.url)) as topics:
        await topics.publish_batch(TopicArn=ARN, PublishBatchRequestEntries=[entry(1), entry(3), entry(2), entry(5)])
    topic = (await stub.report())["topics"][TOPIC]
    assert (topic["order_violations"], topic["missing"]) == (1, 1)
    await stub.reset()
    await stub.fill(ALONE, [{"group": "g", "id": "1", "body": '{"sequence": 1}'}])
    report = await stub.report()
    assert (report["topics"][TOPIC]["published"], report["calls"]) == (0, {})
    assert report["queues"][ALONE]["visible"] == 1
