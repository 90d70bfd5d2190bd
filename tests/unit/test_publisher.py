"""The publisher identifies the broker before it sends events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from event_trio.broker.aws import Aws, sns
from event_trio.broker.queue import Queue
from services.relay.publishing.backlog import PendingEvent
from services.relay.publishing.outcome import Accepted, Answered, BrokerOutage, CallOutcome, CallRejected, NotAttempted
from services.relay.publishing.publisher import Publisher
from tools.embedded.ports import LOOPBACK, free_port

EVENT = PendingEvent(1, "e-1", "o-1", 0, b"{}", {}, 2)


class Topic:
    """A topic that takes everything."""

    def __init__(self) -> None:
        self.calls = 0

    async def publish_batch(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        return {
            "Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in request["PublishBatchRequestEntries"]]
        }


class CheckQueue:
    """A queue that says where it is, and when it was made."""

    async def attributes(self) -> dict[str, str]:
        return {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:check.fifo", "CreatedTimestamp": "1"}


class Identity:
    """Says once that the broker is new; takes its time over it."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)

    async def identify(self, created: str) -> bool:
        answer = self._answers.pop(0)
        await asyncio.sleep(0)
        return answer


@pytest.fixture
async def aws_client() -> AsyncIterator[Any]:
    """A real client, of nobody."""
    async with sns(Aws("us-east-1", f"http://{LOOPBACK}:{free_port()}")) as client:
        yield client


def publisher(topic: Topic, identity: Identity) -> Publisher:
    queue = cast(Queue, CheckQueue())
    return Publisher(cast(Any, topic), queue, "order-events.fifo", call_seconds=5.0, identify=identity.identify)


async def test_events_read_before_the_broker_was_identified_are_read_again() -> None:
    topic = Topic()
    tested = publisher(topic, Identity(True))
    assert isinstance(await tested.publish([EVENT]), NotAttempted)
    assert topic.calls == 0
    assert await tested.publish([EVENT]) == Answered((Accepted("m"),))


@pytest.mark.parametrize("bad", [EVENT._replace(body=b"\xff"), EVENT._replace(attributes={"type": cast(str, 7)})])
async def test_an_event_for_which_no_request_can_be_built_is_no_outage(aws_client: Any, bad: PendingEvent) -> None:
    """Or one bad row would keep all others waiting for a broker that is well."""
    tested = Publisher(
        aws_client, cast(Queue, CheckQueue()), "order-events.fifo", call_seconds=5.0, identify=Identity(True).identify
    )
    assert isinstance(await tested.publish([EVENT]), NotAttempted)
    assert isinstance(await tested.publish([bad]), CallRejected)


async def test_text_of_the_event_quoted_by_the_sdk_is_not_reported(aws_client: Any) -> None:
    """The reason is logged, and stands in the answers of the API: the SDK quotes the value that it does not take."""
    bad = EVENT._replace(attributes={"type": cast(str, ["ada@example.com"])})
    tested = Publisher(
        aws_client, cast(Queue, CheckQueue()), "order-events.fifo", call_seconds=5.0, identify=Identity(True).identify
    )
    await tested.publish([EVENT])
    refused = await tested.publish([bad])
    assert isinstance(refused, CallRejected)
    assert "ParamValidationError" in refused.reason
    assert "ada" not in refused.reason


async def test_concurrent_calls_send_nothing_to_a_recreated_broker_before_the_replay() -> None:
    """One of them learns that it is new; the others would find it known already."""
    topic = Topic()
    tested = publisher(topic, Identity(False, True, True))
    answers: list[CallOutcome] = await asyncio.gather(*(tested.publish([EVENT]) for _ in range(3)))
    assert [type(answer) for answer in answers] == [BrokerOutage, NotAttempted, NotAttempted]
    assert topic.calls == 0
