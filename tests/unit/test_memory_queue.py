"""The queue in memory is what a consumer takes a queue for."""

import inspect

import pytest

from event_trio.envelope import Envelope
from event_trio.testing import FakeClock, MemoryQueue, QueueSuite
from event_trio.testing.queue_suite import event
from tests.support.virtual_time import run


@pytest.mark.parametrize("name", [name for name in dir(QueueSuite) if name.startswith("test_")])
def test_it_passes_the_suite_for_every_queue(name: str) -> None:
    async def test() -> None:
        queue = MemoryQueue()

        async def publish(sent: Envelope) -> None:
            queue.send(sent)

        fixtures = {"queue": queue, "publish": publish}
        found = getattr(QueueSuite(), name)
        await found(**{each: fixtures[each] for each in inspect.signature(found).parameters})

    run(test())


async def test_its_calls_are_counted_and_it_knows_when_it_is_empty() -> None:
    queue = MemoryQueue()
    queue.send(event("a", 1))
    messages = await queue.receive(wait_seconds=0, visibility_seconds=60)
    assert not queue.is_empty
    await queue.delete(messages)
    assert queue.is_empty
    assert queue.calls == {"receive": 1, "delete": 1}


def test_a_clock_moves_only_when_it_is_moved() -> None:
    clock = FakeClock()
    before = clock.now()
    clock.seconds += 90
    assert (clock.now() - before).total_seconds() == clock.monotonic() == 90
