"""A message in isolation runs while nothing else does, and its turn comes."""

import asyncio
import random

import pytest

from event_trio.consumer.isolation import Isolation


async def test_handlers_run_beside_each_other() -> None:
    isolation, both = Isolation(), asyncio.Barrier(2)

    async def run() -> None:
        async with isolation.shared():
            await both.wait()

    await asyncio.wait_for(asyncio.gather(run(), run()), 10)


async def test_a_message_that_waits_for_isolation_is_not_overtaken() -> None:
    isolation, order, release = Isolation(), list[str](), asyncio.Event()

    async def first() -> None:
        async with isolation.shared():
            await release.wait()
        order.append("first")

    async def isolated() -> None:
        async with isolation.isolated():
            order.append("alone")

    async def late() -> None:
        async with isolation.shared():
            order.append("late")

    tasks = []
    for run in (first, isolated, late):
        tasks.append(asyncio.create_task(run()))
        await asyncio.sleep(0)
    assert order == []
    release.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert order == ["first", "alone", "late"]


async def test_a_cancelled_wait_for_isolation_blocks_no_other() -> None:
    isolation, release = Isolation(), asyncio.Event()

    async def hold() -> None:
        async with isolation.shared():
            await release.wait()

    async def isolated() -> None:
        async with isolation.isolated():
            raise AssertionError("it was not its turn")

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(isolated())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(10), isolation.shared():
        release.set()
    await holding


async def test_whatever_comes_and_is_cancelled_alone_is_alone_and_all_end() -> None:
    isolation, running = Isolation(), list[str]()
    chance = random.Random(7)

    async def run(how: str) -> None:
        async with isolation.isolated() if how == "alone" else isolation.shared():
            running.append(how)
            assert running == ["alone"] or "alone" not in running
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            running.remove(how)

    tasks = []
    for number in range(300):
        tasks.append(asyncio.create_task(run(chance.choice(["alone", "beside", "beside"]))))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if number % 7 == 0 and (victim := chance.choice(tasks)) and not running:
            victim.cancel()
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [error for error in ended if error is not None and not isinstance(error, asyncio.CancelledError)] == []
    async with asyncio.timeout(10), isolation.isolated():
        assert running == []
