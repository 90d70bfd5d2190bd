"""The lean client against LocalStack: it exchanges messages with the stock client, and gets the same errors."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from event_trio.broker.aws import Aws, error_code, sns, sqs
from event_trio.broker.lean import lean
from event_trio.broker.queue import Queue

GROUPS = 3
BODY = '{"name": "한국어 😀 \\" \\\\ %2B + & = ~*", "lines": "a\tb\nc"}'
ATTRIBUTES = {
    "type": {"DataType": "String", "StringValue": "order.placed"},
    "name": {"DataType": "String", "StringValue": "é %&+= 😀"},
}


@dataclass(frozen=True)
class Broker:
    """A topic with a queue that gets its messages raw; each client with and without the lean path."""

    topic: str
    queue: str
    queue_url: str
    topics: dict[str, Any]
    queues: dict[str, Any]


@pytest.fixture
async def broker(aws: Aws) -> AsyncIterator[Broker]:
    name, aws = f"t{secrets.token_hex(4)}.fifo", replace(aws, client="stock")
    async with (
        sns(aws, call_seconds=30.0) as topics,
        sqs(aws, call_seconds=30.0) as queues,
        lean(topics, call_seconds=30.0) as lean_topics,
        lean(queues, call_seconds=30.0) as lean_queues,
        _topic(topics, queues, name) as (topic, url),
    ):
        yield Broker(
            topic,
            name,
            url,
            {"stock": topics, "lean": lean_topics},
            {"stock": queues, "lean": lean_queues},
        )


@pytest.mark.parametrize(("sender", "reader"), [("lean", "stock"), ("stock", "lean"), ("lean", "lean")])
async def test_messages_arrive_as_they_were_sent(sender: str, reader: str, broker: Broker) -> None:
    answer = await broker.topics[sender].publish_batch(**_publication(broker.topic, 10))
    assert [entry["Id"] for entry in answer["Successful"]] == [str(n) for n in range(10)]
    assert not answer.get("Failed")
    assert "RequestId" in answer["ResponseMetadata"]
    queue = Queue(broker.queues[reader], broker.queue)
    seen: list[Any] = []
    while len(seen) < 10:
        messages = await queue.receive(wait_seconds=5, visibility_seconds=60)
        assert messages
        assert await queue.extend(messages, 90) == []
        assert await queue.delete(messages) == []
        seen += messages
    assert {(message.body, message.attributes["name"]) for message in seen} == {(BODY, "é %&+= 😀")}
    for group in range(GROUPS):
        numbers = [
            int(message.deduplication_id.rpartition("-")[2]) for message in seen if message.group == f"g-{group}"
        ]
        assert numbers == sorted(numbers)
        assert numbers


async def test_both_clients_receive_the_same(broker: Broker) -> None:
    """A message that became visible again, down to the last member but for what counts receives."""
    await broker.topics["lean"].publish_batch(**_publication(broker.topic, 1))
    found = []
    for client in broker.queues.values():
        answer = await client.receive_message(
            QueueUrl=broker.queue_url,
            WaitTimeSeconds=5,
            VisibilityTimeout=60,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        (message,) = answer["Messages"]
        handle = {"Id": "0", "ReceiptHandle": message.pop("ReceiptHandle"), "VisibilityTimeout": 0}
        await client.change_message_visibility_batch(QueueUrl=broker.queue_url, Entries=[handle])
        message["Attributes"].pop("ApproximateReceiveCount")
        found.append(message)
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["delete_message_batch", "change_message_visibility_batch"])
async def test_a_receipt_handle_that_is_none_is_refused_alike(method: str, broker: Broker) -> None:
    extra = {"VisibilityTimeout": 5} if method == "change_message_visibility_batch" else {}
    entries = [{"Id": "0", "ReceiptHandle": "nonsense"} | extra]
    answers = []
    for client in broker.queues.values():
        answer = await getattr(client, method)(QueueUrl=broker.queue_url, Entries=entries)
        answer.pop("ResponseMetadata")
        answers.append(answer)
    assert answers[0] == answers[1]
    assert answers[0]["Failed"][0]["Code"]


async def test_a_topic_and_a_queue_that_are_not_there(broker: Broker) -> None:
    codes = set()
    for client in broker.topics.values():
        with pytest.raises(client.exceptions.NotFoundException) as raised:
            await client.publish_batch(**_publication(f"{broker.topic[:-5]}-gone.fifo", 1))
        codes.add(error_code(raised.value))
    assert len(codes) == 1
    for client in broker.queues.values():
        with pytest.raises(client.exceptions.QueueDoesNotExist) as missing:
            await client.receive_message(QueueUrl=broker.queue_url.replace(broker.queue, "gone.fifo"))
        codes.add(error_code(missing.value))
    assert len(codes) == 2


async def test_a_batch_that_is_too_long_is_refused_alike(broker: Broker) -> None:
    publication = _publication(broker.topic, 10)
    for entry in publication["PublishBatchRequestEntries"]:
        entry["Message"] = "x" * 40_000
    raised = []
    for client in broker.topics.values():
        with pytest.raises(client.exceptions.ClientError) as refused:
            await client.publish_batch(**publication)
        error = refused.value.response["Error"]
        raised.append((error, refused.value.response["ResponseMetadata"]["HTTPStatusCode"]))
    assert raised[0] == raised[1]


async def test_calls_at_once(broker: Broker) -> None:
    """Each over a connection of its own, a poll that waits among them."""
    poll = asyncio.create_task(
        broker.queues["lean"].receive_message(QueueUrl=broker.queue_url, WaitTimeSeconds=10, MaxNumberOfMessages=10)
    )
    publications = [
        broker.topics["lean"].publish_batch(**_publication(broker.topic, 2, start=10 * n)) for n in range(8)
    ]
    answers = await asyncio.gather(*publications)
    assert [len(answer["Successful"]) for answer in answers] == [2] * 8
    assert (await poll)["Messages"]


def _publication(topic: str, count: int, *, start: int = 0) -> dict[str, Any]:
    entries = [
        {
            "Id": str(n),
            "Message": BODY,
            "MessageGroupId": f"g-{n % GROUPS}",
            "MessageDeduplicationId": f"e-{start + n}",
            "MessageAttributes": ATTRIBUTES,
        }
        for n in range(count)
    ]
    return {"TopicArn": topic, "PublishBatchRequestEntries": entries}


@asynccontextmanager
async def _topic(topics: Any, queues: Any, name: str) -> AsyncIterator[tuple[str, str]]:
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "false"}
    topic = (await topics.create_topic(Name=name, Attributes=fifo))["TopicArn"]
    url = (await queues.create_queue(QueueName=name, Attributes={"FifoQueue": "true"}))["QueueUrl"]
    arn = (await queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    raw = {"RawMessageDelivery": "true"}
    await topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    try:
        yield topic, url
    finally:
        await topics.delete_topic(TopicArn=topic)
        await queues.delete_queue(QueueUrl=url)
