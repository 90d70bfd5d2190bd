"""Deferred messages catch up: groups concurrently, none delayed by another, and the end of a process counts for one."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from event_trio.consumer.event import Event
from event_trio.consumer.policies import Retry, Unit
from event_trio.consumer.sources.deferred import DeferredOptions
from event_trio.envelope import Envelope
from event_trio.testing import MemoryQueue
from tests.support.consuming import Counted, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
from tests.support.deferred import defer
from tests.support.events import envelope_of
from tests.support.waiting import eventually

HOURLY = Retry(attempts=3, delay=1, unit=Unit.HOURS)
ROOT = Path(__file__).parents[2]
# A consumer that ends as soon as it runs a deferred message of the subject `killer`.
DYING = """
import asyncio, os, signal, sys
from tests.support.consuming import consumer_of
from tests.support.databases import TestDatabase
from event_trio.testing import MemoryQueue

async def die(event):
    if event.envelope.subject == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.3)

async def main():
    async with consumer_of(TestDatabase(*sys.argv[1:]), MemoryQueue(), act=die, timeout=60):
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


def events_of(subject: str, count: int) -> list[Envelope]:
    return [envelope_of(Counted(), subject=subject, sequence=number + 1) for number in range(count)]


async def test_a_process_that_dies_over_a_deferred_message_makes_a_dead_letter_of_that_only(
    database: TestDatabase,
) -> None:
    subjects = ["innocent-1", "innocent-2", "killer", *(f"innocent-{number}" for number in range(3, 8))]
    await defer(database, [event for subject in subjects for event in events_of(subject, 1)])
    for _ in range(3):
        await die_over_it(database)
    async with consumer_of(database, MemoryQueue(), policy=HOURLY):
        await eventually(lambda: waits(database, 0), timeout=20)
    assert sorted(await effects(database)) == [(f"innocent-{number}", 1) for number in range(1, 8)]
    dead = await rows(database, "SELECT subject, reason FROM deferred_message WHERE status = 'dead'")
    assert dead == [("killer", "process_died")]


async def die_over_it(database: TestDatabase) -> None:
    """One process, until its end; what it had taken is free again."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    dying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DYING, database.name, database.url),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await asyncio.wait_for(dying.wait(), 60) == -9
    finally:
        if dying.returncode is None:
            dying.kill()
            await dying.wait()
    await execute(database.url, "UPDATE deferred_message SET taken_until = now() - interval '1 second'")


async def test_a_message_over_which_two_processes_ended_runs_in_isolation(database: TestDatabase) -> None:
    await defer(database, [event for subject in ("poisonous", "a", "b", "c") for event in events_of(subject, 2)])
    await execute(database.url, "UPDATE deferred_message SET starts = 2 WHERE subject = 'poisonous' AND sequence = 1")
    others, beside = asyncio.Event(), list[str]()

    async def act(event: Event[Counted]) -> None:
        if event.subject == "poisonous" and event.envelope.sequence_number == 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await others.wait()
                    beside.append("another message ran meanwhile")
            return
        others.set()
        others.clear()

    async with consumer_of(database, MemoryQueue(), act=act, policy=HOURLY):
        await eventually(lambda: waits(database, 0), timeout=20)
    assert len(await effects(database)) == 8
    assert beside == []


async def test_a_slow_handler_holds_up_no_other_group(database: TestDatabase) -> None:
    """Nor the following events of the groups that go on."""
    release = asyncio.Event()

    async def act(event: Event[Counted]) -> None:
        if event.envelope.subject == "slow":
            await release.wait()

    await defer(database, [*events_of("slow", 2), *events_of("quick", 20), *events_of("brisk", 20)])
    async with consumer_of(database, MemoryQueue(), act=act, policy=HOURLY, timeout=60):
        await eventually(lambda: waits(database, 2), timeout=20)
        release.set()
        await eventually(lambda: waits(database, 0), timeout=20)
    done = await effects(database)
    for subject, count in (("slow", 2), ("quick", 20), ("brisk", 20)):
        assert [sequence for name, sequence in done if name == subject] == list(range(1, count + 1))


async def test_long_groups_take_turns_with_those_that_find_no_worker(database: TestDatabase) -> None:
    """More groups without end than there are workers, and one that comes later."""
    hot = [event for number in range(10) for event in events_of(f"hot-{number}", 20)]
    await defer(database, [*hot, *events_of("late", 1)])
    async with consumer_of(database, MemoryQueue(), policy=HOURLY) as tested:
        tested.deferred._options = DeferredOptions(poll_seconds=0.05, burst=3)
        await eventually(lambda: ran(database, "late"), timeout=40)
        [(left,)] = await rows(database, "SELECT count(*) FROM deferred_message")
    assert left > 0, "it waited for all the others"


async def test_an_unforeseen_error_ends_the_lease_of_its_own_message_only(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def act(event: Event[Counted]) -> None:
        running.set()
        await release.wait()

    await defer(database, [*events_of("broken", 1), *events_of("sound", 1)])
    async with consumer_of(database, MemoryQueue(), act=act, policy=HOURLY, timeout=60) as tested:
        handle = tested.deferred._pipeline.process

        async def break_one(work: object) -> object:
            if getattr(work, "event").subject == "broken":  # noqa: B009
                await asyncio.wait_for(running.wait(), 20)
                raise LookupError("a mistake of this code")
            return await handle(work)  # type: ignore[arg-type]

        monkeypatch.setattr(tested.deferred._pipeline, "process", break_one)
        given_back = "SELECT 1 FROM deferred_message WHERE subject = 'broken' AND starts = 0 AND taken_until IS NULL"
        await asyncio.wait_for(running.wait(), 20)
        await eventually(lambda: found(database, given_back))
        taken = "SELECT starts FROM deferred_message WHERE subject = 'sound' AND taken_until > now()"
        assert await rows(database, taken) == [(1,)]
        release.set()
        await eventually(lambda: ran(database, "sound"))


READ = """
    SELECT sum(seq_tup_read + idx_tup_fetch)::int FROM pg_stat_user_tables
    WHERE relname IN ('deferred_message', 'processed_message')
"""


async def test_the_cost_of_a_message_does_not_grow_with_its_group(database: TestDatabase) -> None:
    """Rows looked at for each, with thousands behind it."""
    handled, some = list[int](), asyncio.Event()

    async def count(event: Event[Counted]) -> None:
        handled.append(event.envelope.sequence_number)
        if len(handled) == 20:
            some.set()

    await defer(database, events_of("hot", 3000))
    connection = await asyncpg.connect(database.url)
    await connection.execute("VACUUM ANALYZE deferred_message, processed_message")
    before = await connection.fetchval(READ)
    async with consumer_of(database, MemoryQueue(), after=count, policy=HOURLY) as tested:
        await asyncio.wait_for(some.wait(), 30)
        await tested.drain()

    async def stated() -> int:
        """Each backend reports when it ends."""
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        return int(await connection.fetchval(READ) or 0) - int(before)

    await eventually(stated)
    assert await stated() < 30 * len(handled)
    await connection.close()
    assert handled == list(range(1, len(handled) + 1))


async def found(database: TestDatabase, query: str) -> bool:
    return bool(await rows(database, query))


async def ran(database: TestDatabase, subject: str) -> bool:
    return any(name == subject for name, _ in await effects(database))


async def waits(database: TestDatabase, count: int) -> bool:
    query = "SELECT count(*) FROM deferred_message WHERE status <> 'dead'"
    assert await rows(database, query) == [(count,)]
    return True
