"""Publishing without a readable check queue, and the classification of errors of the SDK."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from event_trio.broker.aws import Aws, topic_arn
from event_trio.broker.queue import Queue
from event_trio.errors import BrokerUnavailable
from services.relay.publishing import publisher as module
from services.relay.publishing.backlog import PendingEvent
from services.relay.publishing.outcome import Accepted, Answered, BrokerOutage, CallRejected, NotAttempted, Throttled
from services.relay.publishing.publisher import Publisher
from tests.support import virtual_time

EVENT = PendingEvent(1, "e-1", "o-1", 0, b"{}", {}, 2)
ARN = "arn:aws:sns:us-east-1:000000000000:order-events.fifo"


class Topic:
    """A topic that takes everything, or raises what it was given."""

    def __init__(self, *raises: BaseException) -> None:
        self.arns: list[str] = []
        self._raises = list(raises)

    async def publish_batch(self, **request: Any) -> dict[str, Any]:
        if self._raises:
            raise self._raises.pop(0)
        self.arns.append(request["TopicArn"])
        return {"Successful": [{"Id": e["Id"], "MessageId": "m"} for e in request["PublishBatchRequestEntries"]]}


class CheckQueue:
    """A queue that is in trouble, or hangs, until it is well."""

    def __init__(self, trouble: str | None, *, hangs: bool = False) -> None:
        self.trouble = trouble
        self.hangs = hangs
        self.asked = 0

    async def attributes(self) -> dict[str, str]:
        self.asked += 1
        if self.hangs:
            await virtual_time.pass_time(3600)
        if self.trouble:
            raise BrokerUnavailable(self.trouble)
        return {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:check.fifo", "CreatedTimestamp": "1"}


async def located() -> str:
    return ARN


def made(
    topic: Topic,
    queue: CheckQueue,
    *,
    check_wait_seconds: float = 0.0,
    find_arn: Callable[[], Awaitable[str]] | None = located,
    identified: list[str] | None = None,
) -> Publisher:
    async def identify(created: str) -> bool:
        if identified is not None:
            identified.append(created)
        return True

    return Publisher(
        cast(Any, topic),
        cast(Queue, queue),
        "order-events.fifo",
        call_seconds=5.0,
        identify=identify,
        find_arn=find_arn,
        check_wait_seconds=check_wait_seconds,
    )


@pytest.mark.parametrize("queue", [CheckQueue("does not exist"), CheckQueue("throttled"), CheckQueue(None, hangs=True)])
def test_events_are_published_while_the_check_queue_cannot_be_read(queue: CheckQueue) -> None:
    async def scenario() -> None:
        topic = Topic()
        tested = made(topic, queue)
        assert isinstance(await tested.publish([EVENT]), NotAttempted)
        assert await tested.publish([EVENT]) == Answered((Accepted("m"),))
        assert topic.arns == [ARN]

    virtual_time.run(scenario())


def test_the_broker_is_identified_when_the_check_queue_can_be_read_again() -> None:
    async def scenario() -> None:
        identified: list[str] = []
        queue = CheckQueue("does not exist")
        tested = made(Topic(), queue, identified=identified)
        await tested.publish([EVENT])
        await tested.publish([EVENT])
        assert identified == []
        queue.trouble = None
        await asyncio.sleep(module.LOOK_AGAIN_SECONDS + 1)
        assert isinstance(await tested.publish([EVENT]), NotAttempted)
        assert identified == ["1"]
        assert isinstance(await tested.publish([EVENT]), Answered)
        assert isinstance(await tested.publish([EVENT]), Answered)

    virtual_time.run(scenario())


def test_with_automatic_replays_the_publisher_waits_for_the_check_queue_first() -> None:
    async def scenario() -> None:
        queue = CheckQueue("does not exist")
        tested = made(Topic(), queue, check_wait_seconds=10.0)
        assert isinstance(await tested.publish([EVENT]), BrokerOutage)
        await virtual_time.pass_time(11)
        assert isinstance(await tested.publish([EVENT]), NotAttempted)
        assert isinstance(await tested.publish([EVENT]), Answered)

    virtual_time.run(scenario())


def test_after_an_outage_the_publisher_waits_for_the_check_queue_again() -> None:
    async def scenario() -> None:
        tested = made(Topic(ConnectionResetError()), CheckQueue("does not exist"), check_wait_seconds=10.0)
        await tested.publish([EVENT])
        await virtual_time.pass_time(11)
        assert isinstance(await tested.publish([EVENT]), NotAttempted)
        assert isinstance(await tested.publish([EVENT]), BrokerOutage)
        assert isinstance(await tested.publish([EVENT]), BrokerOutage), "it may be another broker by now"

    virtual_time.run(scenario())


async def test_without_another_source_of_the_arn_the_check_queue_is_required() -> None:
    answer = await made(Topic(), CheckQueue("it does not exist"), find_arn=None).publish([EVENT])
    assert answer == BrokerOutage("it does not exist")


async def test_an_unexpected_error_of_a_test_double_rejects_the_call() -> None:
    tested = made(Topic(ValueError("what is this")), CheckQueue(None))
    await tested.publish([EVENT])
    assert await tested.publish([EVENT]) == CallRejected("ValueError: what is this")


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [("Throttling", 400, Throttled), ("Strange", 429, Throttled), ("SlowDown", 503, Throttled),
     ("ServiceUnavailable", 503, BrokerOutage), ("InvalidParameter", 400, CallRejected)],
)  # fmt: skip
async def test_a_failed_call_is_classified_by_code_and_status(code: str, status: int, outcome: type) -> None:
    error = ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": cast(Any, {"HTTPStatusCode": status})},
        "PublishBatch",
    )
    tested = made(Topic(error), CheckQueue(None))
    await tested.publish([EVENT])
    assert isinstance(await tested.publish([EVENT]), outcome)


@pytest.mark.parametrize(("key", "account"), [(None, "000000000000"), ("test", "000000000000"), ("1" * 12, "1" * 12)])
async def test_on_localstack_the_access_key_determines_the_account_of_the_topic(
    monkeypatch: pytest.MonkeyPatch, key: str | None, account: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    if key:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    found = await topic_arn(Aws("us-east-1", "http://127.0.0.1:1"), "order-events.fifo")
    assert found == f"arn:aws:sns:us-east-1:{account}:order-events.fifo"
