"""Operators change any number of messages, and hold up few groups, for a moment: in steps, around what is handled."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.database.connections import create_engine
from event_trio.inbox.claim import lock_group
from event_trio.inbox.dead_letters import By, DeadLetters, Selection
from event_trio.inbox.deferred_messages import DeferredMessages
from event_trio.inbox.resolution import STEP, MessageBusy
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.letters import letters
from tests.support.order_service import order_service
from tests.support.waiting import eventually

BY, ALL = By("olga", "why"), Selection()
COUNT = 230
WAIT = "UPDATE deferred_message SET status = 'waiting', due_at = now() + interval '1 h', blocks = true"
LOCKS = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""
# Which transaction wrote a row: so many rows each of them changed.
SIZES = "SELECT count(*) AS size FROM operator_action GROUP BY xmin::text ORDER BY 1 DESC"


@pytest.fixture
async def sessions(orders_database: TestDatabase) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    await execute(orders_database.url, *letters("order", COUNT))
    engine = create_engine(orders_database.url_for("order_api"), application_name="test")
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


async def count(database: TestDatabase, query: str) -> int:
    return int((await fetch(database.url, query))[0][0])


@pytest.mark.parametrize("action", ["discard", "redrive", "discard waiting", "run"])
async def test_no_transaction_changes_more_than_a_step_or_holds_what_it_waits_for(
    action: str, sessions: async_sessionmaker[AsyncSession], orders_database: TestDatabase
) -> None:
    """The group of `e-3` is being handled all the while: it comes last, and nobody else waits for it."""
    if action in {"discard waiting", "run"}:
        await execute(orders_database.url, WAIT)
    dead, waiting = DeadLetters(sessions, "order"), DeferredMessages(sessions, "order")
    async with sessions.begin() as handler:
        await lock_group(handler, "order", "e-3")
        match action:
            case "discard":
                call = dead.discard(ALL, BY)
            case "redrive":
                call = dead.redrive(ALL, BY, per_second=None)
            case "discard waiting":
                call = waiting.discard(ALL, BY)
            case _:
                call = waiting.run(ALL, BY)
        changing = asyncio.create_task(call)
        done = COUNT if action == "redrive" else COUNT - 1

        async def all_others_are_done() -> bool:
            return await count(orders_database, "SELECT count(*) FROM operator_action") == done

        await eventually(all_others_are_done, timeout=20)
        assert await count(orders_database, LOCKS) == 1, "the handler's own"
    changed = await changing
    assert [row.event_id for row in changed] == [f"e-{n}" for n in range(1, COUNT + 1)]
    assert max(row["size"] for row in await fetch(orders_database.url, SIZES)) <= STEP


async def test_what_stays_busy_is_left_and_said_if_it_was_asked_for(
    sessions: async_sessionmaker[AsyncSession], orders_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_trio.inbox.resolution.BUSY_SECONDS", 0.2)
    dead = DeadLetters(sessions, "order")
    async with sessions.begin() as handler:
        await lock_group(handler, "order", "e-3")
        assert len(await dead.discard(ALL, BY, limit=10)) == 9
        with pytest.raises(MessageBusy):
            await dead.discard(Selection(event_id="e-3"), BY)
    assert [row.event_id for row in await dead.discard(ALL, BY, limit=1)] == ["e-3"]


async def test_a_live_event_hardly_waits_while_many_are_discarded(
    sessions: async_sessionmaker[AsyncSession], orders_database: TestDatabase
) -> None:
    """Each group in turn is asked for, as a live event of it does, until all is done."""
    discarding = asyncio.create_task(DeadLetters(sessions, "order").discard(ALL, BY))
    connection = await asyncpg.connect(orders_database.url)
    waits, number = [], 0
    try:
        while not discarding.done():
            number = number % COUNT + 1
            began = time.monotonic()
            async with connection.transaction():
                key = f"order\x1fe-{number}"
                await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
            waits.append(time.monotonic() - began)
    finally:
        await connection.close()
    assert len(await discarding) == COUNT
    # Some tens of milliseconds for a step; the bound leaves room for a machine that is busy with other things.
    assert max(waits) < 1.0


async def test_a_rate_goes_on_from_step_to_step(
    sessions: async_sessionmaker[AsyncSession], orders_database: TestDatabase
) -> None:
    await DeadLetters(sessions, "order").redrive(ALL, BY, per_second=0.01)
    due = await fetch(
        orders_database.url,
        "SELECT round(extract(epoch FROM due_at - min(due_at) OVER ()))::int AS due FROM deferred_message ORDER BY id",
    )
    assert all(abs(row["due"] - place * 100) <= 5 for place, row in enumerate(due))


@pytest.mark.parametrize("verb", ["redrive", "discard"])
async def test_a_change_that_was_cut_off_is_answered_with_its_progress_under_its_key(
    verb: str, sessions: async_sessionmaker[AsyncSession], orders_database: TestDatabase
) -> None:
    """A repetition makes nothing again, and the cursor in its answer leads on."""
    await execute(
        orders_database.url,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'cut off'; END $$",
        "CREATE TRIGGER fail BEFORE INSERT ON operator_action FOR EACH ROW WHEN (NEW.event_id = 'e-120')"
        " EXECUTE FUNCTION fail()",
    )
    async with order_service(orders_database) as api:

        async def ask(key: str, **more: object) -> httpx.Response:
            body = {"all": True, "reason": "why", **more}
            return await api.post(f"/v1/dead-letters/{verb}", json=body, headers={"Idempotency-Key": key})

        assert (await ask("k-1")).status_code >= 500
        await execute(orders_database.url, "DROP TRIGGER fail ON operator_action")
        answer = (await ask("k-1")).json()
        assert [item["event_id"] for item in answer["items"]] == [f"e-{n}" for n in range(1, 2 * STEP + 1)]
        rest = (await ask("k-2", cursor=int(answer["next_cursor"]))).json()
        assert [item["event_id"] for item in rest["items"]] == [f"e-{n}" for n in range(2 * STEP + 1, COUNT + 1)]
    assert await count(orders_database, "SELECT count(*) FROM operator_action") == COUNT
    assert await count(orders_database, "SELECT count(DISTINCT event_id) FROM operator_action") == COUNT
