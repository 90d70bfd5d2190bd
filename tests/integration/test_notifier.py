"""The notifier: it notifies at once, not for every commit, and for the last one too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from event_trio.outbox.notifier import CHANNEL, LEAST_PAUSE_SECONDS, OutboxNotifier
from tests.support.databases import OUTBOX_WRITER, TestDatabase


class Listener:
    """Counts the rings that a relay would hear."""

    def __init__(self) -> None:
        self.rings = 0
        self._heard = asyncio.Event()

    def hear(self, *_: object) -> None:
        self.rings += 1
        self._heard.set()

    async def hears_one(self) -> None:
        async with asyncio.timeout(10):
            await self._heard.wait()
        self._heard.clear()


@asynccontextmanager
async def listening(database: TestDatabase) -> AsyncIterator[Listener]:
    connection = await asyncpg.connect(database.url)
    listener = Listener()
    await connection.add_listener(CHANNEL, listener.hear)
    try:
        yield listener
    finally:
        await connection.close()


async def test_many_commits_cause_few_notifications_and_the_last_is_sent_even_during_the_stop(
    outbox_database: TestDatabase,
) -> None:
    notifier, stopping = OutboxNotifier(outbox_database.url_for(OUTBOX_WRITER)), asyncio.Event()
    async with listening(outbox_database) as listener:
        running = asyncio.create_task(notifier.run(stopping))
        notifier.notify()
        await listener.hears_one()
        began, commits = asyncio.get_running_loop().time(), 0
        while asyncio.get_running_loop().time() - began < 50 * LEAST_PAUSE_SECONDS:
            notifier.notify()
            commits += 1
            await asyncio.sleep(0)
        before = listener.rings
        assert 2 <= before <= 51 < commits
        notifier.notify()
        stopping.set()
        await running
        async with asyncio.timeout(10):
            while listener.rings == before:
                await listener.hears_one()
