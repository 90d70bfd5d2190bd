"""A call to a broker that does not respond ends at its deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.queue import Message, Queue
from event_trio.broker.subscription import filtered_types
from event_trio.errors import BrokerUnavailable
from tests.support.faulty_broker import Fault, faulty_broker
from tests.support.fifo import FifoQueue, fifo_queue

SILENCE = Fault("black hole", answer=lambda _: b"")
CALL_SECONDS = 0.5
MESSAGE = Message("m", "handle", "{}", "group", "m", "1", 1, datetime.now(UTC))
# A call without a deadline of its own takes as long as the longest poll: above 20 s.
LONG = 10.0


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("GetQueueUrl", lambda queue: queue.url()),
        ("DeleteMessageBatch", lambda queue: queue.delete([MESSAGE])),
        ("ChangeMessageVisibilityBatch", lambda queue: queue.extend([MESSAGE], 30)),
        ("GetQueueAttributes", lambda queue: queue.attributes()),
        ("ReceiveMessage", lambda queue: queue.receive(wait_seconds=1, visibility_seconds=30)),
    ],
)
async def test_a_call_without_response_ends_at_its_deadline(
    action: str, call: Callable[[Queue], Awaitable[object]], aws: Aws, queue: FifoQueue
) -> None:
    async with faulty_broker(aws) as broker, sqs(broker.aws, call_seconds=CALL_SECONDS) as client:
        broker.plan(action, SILENCE)
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="TimeoutError"):
            await call(Queue(client, queue.name))
        assert time.monotonic() - began < LONG
        assert broker.is_over


async def test_the_deadline_of_a_receive_includes_its_wait(aws: Aws, queue: FifoQueue) -> None:
    async with sqs(aws, call_seconds=1.0) as client:
        began = time.monotonic()
        assert await Queue(client, queue.name).receive(wait_seconds=2, visibility_seconds=30) == []
        assert time.monotonic() - began > 1.5


async def test_a_slow_response_ends_at_the_deadline(aws: Aws) -> None:
    """Each byte arrives within the read timeout, and the response never ends."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.05)
        writer.close()
        closed.release()

    closed = asyncio.Semaphore(0)
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    slow = Aws(aws.region, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    began = time.monotonic()
    async with server, sqs(slow, call_seconds=CALL_SECONDS) as queues, sns(slow, call_seconds=CALL_SECONDS) as topics:
        with pytest.raises(BrokerUnavailable, match="TimeoutError"):
            await Queue(queues, "any.fifo").url()
        with pytest.raises(BrokerUnavailable, match="TimeoutError"):
            await filtered_types(topics, topic="any.fifo", queue_arn="arn:aws:sqs:us-east-1:000000000000:any.fifo")
    assert time.monotonic() - began < LONG
    for _ in range(2):
        await asyncio.wait_for(closed.acquire(), 10)
