"""The consumer before a network and a broker that misbehave: every event is handled once, and in order."""

import json
from collections.abc import AsyncIterator

import pytest

from event_trio.broker.aws import Aws, sqs
from event_trio.broker.queue import Queue
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Limits
from tests.support.consuming import Counted, consumer_of, effects, make_effects
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of
from tests.support.faulty_broker import Fault, answer_of, faulty_broker, json_refusal
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.waiting import eventually


def one_refused(real: bytes) -> bytes:
    """The broker deleted, and says of one message that it did not."""
    answer = json.loads(real.partition(b"\r\n\r\n")[2])
    failed = [{"Id": answer["Successful"].pop()["Id"], "Code": "InternalError", "SenderFault": False}]
    partial = answer_of("200 OK", json.dumps({**answer, "Failed": failed}), content_type="application/x-amz-json-1.0")
    return partial.replace(b"\r\n", b"\r\nx-amzn-RequestId: r-1\r\n", 1)


FAULTS = [
    Fault("connection reset before the broker saw the request"),
    Fault("answer lost", passes=True),
    Fault("slow answer", passes=True, answer=lambda real: real, delay=0.5),
    Fault("somebody else's page for an answer", answer=lambda _: answer_of("200 OK", "<html>Back soon!</html>")),
    Fault("JSON of another shape", answer=lambda _: answer_of("200 OK", "[1]")),
    Fault("bad gateway", answer=lambda _: answer_of("502 Bad Gateway", "<html></html>")),
    Fault("throttled", answer=lambda _: json_refusal("400 Bad Request", "RequestThrottled")),
    Fault("credentials expired", answer=lambda _: json_refusal("400 Bad Request", "ExpiredTokenException")),
]


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


async def test_whatever_happens_to_its_calls_every_event_is_handled_once_and_in_order(
    aws: Aws, database: TestDatabase, queue: FifoQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_trio.broker.aws.LONGEST_WAIT_SECONDS", 1)
    only_deletes = [
        Fault("answer cut off", passes=True, answer=lambda real: real[: len(real) // 2]),
        Fault("one of a batch not deleted", passes=True, answer=one_refused),
    ]
    faults = [*FAULTS, *only_deletes]
    limits = Limits(polling=Polling(wait_seconds=1, visibility_seconds=4))
    async with faulty_broker(aws) as broker, sqs(broker.aws, call_seconds=1) as client:
        for fault in FAULTS[3:5]:
            broker.plan("GetQueueUrl", fault)
        async with consumer_of(database, Queue(client, queue.name), limits=limits) as tested:
            for number, fault in enumerate(faults):
                for action in ("ReceiveMessage", "DeleteMessageBatch"):
                    if fault in FAULTS or action == "DeleteMessageBatch":
                        broker.plan(action, fault)
                events = [envelope_of(Counted(), subject=f"order-{number}", sequence=n) for n in (1, 2)]
                for event in events:
                    await queue.send(event)
                for event in events:
                    await tested.completed(event.id, "handled", timeout=20)

            async def over() -> bool:
                assert await queue.is_empty()
                return broker.is_over

            await eventually(over, timeout=30)
            assert tested.consumer.trouble is None
    wanted = [(f"order-{number}", n) for number in range(len(faults)) for n in (1, 2)]
    assert await effects(database) == wanted


async def test_an_invalid_response_of_the_queue_is_a_failure_and_not_an_empty_queue(
    aws: Aws, database: TestDatabase, queue: FifoQueue
) -> None:
    """A gateway's page with status 200 looks to the SDK like a queue with nothing in it."""
    page = Fault("page", answer=lambda _: answer_of("200 OK", "<html>Back soon!</html>"))
    async with faulty_broker(aws) as broker, sqs(broker.aws, call_seconds=1) as client:
        broker.plan("ReceiveMessage", page, times=1000)
        async with consumer_of(database, Queue(client, queue.name)) as tested:

            async def is_reported() -> bool:
                return f"the endpoint of queue {queue.name} is not SQS" in (tested.consumer.trouble or "")

            await eventually(is_reported)
            assert broker.calls.count("ReceiveMessage") < 10, "it asks again and again without a pause"
