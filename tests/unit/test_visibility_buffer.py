"""A buffer gives pushed messages the visibility of a source; the suite for sources is in test_contract_suites.py."""

import asyncio
from datetime import UTC, datetime

from event_trio.broker.source import Message, RejectedMessage
from event_trio.broker.visibility_buffer import VisibilityBuffer
from event_trio.testing import FakeClock


def message(group: str, number: int, body: str = "") -> Message:
    return Message(f"m-{number}", "", body, group, f"d-{number}", str(number), 0, datetime.now(UTC))


async def test_a_receipt_handle_of_an_earlier_receive_is_stale() -> None:
    clock = FakeClock()
    buffer: VisibilityBuffer[int] = VisibilityBuffer(clock.monotonic)
    buffer.add(message("a", 1), 1)
    (first,) = await buffer.take(10, wait_seconds=0, visibility_seconds=5)
    clock.seconds = 6
    (second,) = await buffer.take(10, wait_seconds=0, visibility_seconds=5)
    for rejected in (buffer.remove([first])[1], buffer.extend([first], 5)):
        assert [isinstance(each, RejectedMessage) and each.is_stale for each in rejected] == [True]
    assert buffer.remove([second]) == ([1], [])


async def test_a_message_that_arrives_ends_the_wait_and_a_cleared_buffer_is_empty() -> None:
    buffer: VisibilityBuffer[int] = VisibilityBuffer()
    waiting = asyncio.create_task(buffer.take(10, wait_seconds=20, visibility_seconds=5))
    await asyncio.sleep(0)
    buffer.add(message("a", 1), 1)
    async with asyncio.timeout(5):
        taken = await waiting
    assert [each.message_id for each in taken] == ["m-1"]
    assert len(buffer) == 1
    buffer.clear()
    assert (len(buffer), [type(each) for each in buffer.remove(taken)[1]]) == (0, [RejectedMessage])
