"""A queue of LocalStack is what a consumer takes a queue for, and so is the topology for users' tests."""

import secrets
from collections.abc import AsyncIterator

import pytest

from event_trio.broker.aws import Aws, sqs
from event_trio.broker.queue import Queue
from event_trio.broker.source import MessageSource
from event_trio.envelope import Envelope
from event_trio.testing import Publish, QueueSuite, create_topology
from tests.support.fifo import FifoQueue, fifo_queue


class TestSqsQueue(QueueSuite):
    """The suite for every queue."""

    @pytest.fixture
    async def fifo(self, aws: Aws) -> AsyncIterator[FifoQueue]:
        async with fifo_queue(aws) as made:
            yield made

    @pytest.fixture
    def queue(self, fifo: FifoQueue) -> Queue:
        return fifo.reader()

    @pytest.mark.skip("LocalStack takes the receipt handle of an earlier receive for the current one; AWS rejects it")
    async def test_a_former_receipt_handle_does_nothing(self, queue: MessageSource, publish: Publish) -> None:
        """Promised by SQS, and by the fake of the library."""

    @pytest.fixture
    def publish(self, fifo: FifoQueue) -> Publish:
        async def publish(sent: Envelope) -> None:
            await fifo.client.send_message(
                QueueUrl=fifo.url,
                MessageBody=sent.to_bytes().decode(),
                MessageGroupId=sent.partitionkey,
                MessageDeduplicationId=str(sent.id),
                MessageAttributes={"type": {"DataType": "String", "StringValue": sent.type}},
            )

        return publish


async def test_a_topology_may_be_created_again_and_a_queue_is_found_by_its_url(aws: Aws) -> None:
    prefix = f"t{secrets.token_hex(4)}-"
    made = [await create_topology("shop-events", "mailer", aws=aws, prefix=prefix) for _ in range(2)]
    assert made[0] == made[1]
    async with sqs(aws) as client:
        url = (await client.get_queue_url(QueueName=made[0].queue))["QueueUrl"]
        by_url = Queue(client, made[0].queue, url=url)
        assert await by_url.receive(wait_seconds=0, visibility_seconds=5) == []
        assert await by_url.url() == url
        for name in (made[0].queue, made[0].publish_check):
            await client.delete_queue(QueueUrl=await Queue(client, name).url())
