"""Faults of the order service and of its transactions."""

import asyncio
import contextlib
import signal

import asyncpg
import httpx

from event_trio.contracts.orders import OrderCancelled
from event_trio.database.connections import create_engine
from event_trio.envelope import uuid7
from event_trio.outbox.writer import OutboxWriter
from tests.faults.recording import Recorder
from tests.faults.registry import fault
from tests.faults.run import Run
from tests.faults.workload import ORDER

ROUNDS = 2
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
HOT_ORDER = """
SELECT id, version FROM orders WHERE id IN (SELECT order_id FROM order_history WHERE type = 'order.held')
ORDER BY updated_at DESC
"""
BLOCKED = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'relation')
               AND pid IN (SELECT pid FROM pg_stat_activity WHERE usename = 'order_api'))
"""


@fault(1, "API killed before commit", "P1", "order")
async def killed_before_commit(run: Run) -> None:
    for _ in range(ROUNDS):
        await run.system.order.restart({"FAILPOINT": "order.before_commit"})
        await run.system.order.ended()
        await run.more_operations(3)


@fault(2, "API killed after commit, before the reply; the client retries with its key", "P4", "order")
async def killed_after_commit(run: Run) -> None:
    for _ in range(ROUNDS):
        await run.system.order.restart({"FAILPOINT": "order.after_commit"})
        await run.system.order.ended()
        await run.more_operations(3)


@fault(3, "outcome of the commit unknown: its reply is lost", "P1 P2", "order_db")
async def commit_reply_lost(run: Run) -> None:
    proxy = run.system.order_database
    proxy.lose_answers(b"", lambda: run.dice.random() < 0.15)

    async def lost() -> bool:
        return proxy.lost >= 12

    proxy.lost = 0
    await run.until(lost)


@fault(18, "connection pool exhausted, and leaked by cancelled requests", "P5", "order_db", "roles")
async def connections_exhausted(run: Run) -> None:
    history = Recorder(run.folder / "client-abandoning.jsonl")
    async with httpx.AsyncClient(base_url=run.system.order.url) as api:

        async def abandon(number: int) -> None:
            key = f"{run.prefix}abandoned{number}"
            history.write("invoke", key=key)
            with contextlib.suppress(httpx.HTTPError):
                await api.post("/v1/orders", json=ORDER, timeout=run.dice.uniform(0.005, 0.1),
                               headers={"Idempotency-Key": key, "X-Correlation-ID": key})  # fmt: skip
            history.write("info", key=key)

        for turn in range(5):
            await asyncio.gather(*(abandon(10 * turn + number) for number in range(10)))
    history.close()
    await _as_superuser(run, "ALTER ROLE order_api CONNECTION LIMIT 0")
    try:
        await _as_superuser(run, _terminate("order_api"))
        await run.lasts(1.5)
    finally:
        await _as_superuser(run, "ALTER ROLE order_api CONNECTION LIMIT -1")


@fault(19, "deadlocks with the order service as their victim, and cancelled statements", "P1 P4", "order_db")
async def deadlocks(run: Run) -> None:
    connection = await asyncpg.connect(run.system.orders.url)
    try:
        await connection.execute("SET deadlock_timeout = '60s'")  # so that the service notices first
        before = await connection.fetchval(DEADLOCKS)
        for _ in range(2):
            await _provoke_deadlock(run, connection)

        async def counted() -> bool:
            return bool(await connection.fetchval(DEADLOCKS) > before)

        await run.until(counted)
        async with connection.transaction():
            await connection.execute("LOCK TABLE outbox_event IN SHARE ROW EXCLUSIVE MODE")
            await run.until(lambda: _blocked(connection))
            await connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'order_api' AND state = 'active'"
            )
    finally:
        await connection.close()


async def _blocked(connection: asyncpg.Connection) -> bool:
    """Whether a statement of the order service waits for a lock."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")  # a transaction keeps what it saw of other sessions
    return bool(await connection.fetchval(BLOCKED))


async def _provoke_deadlock(run: Run, connection: asyncpg.Connection) -> None:
    """Take the place of the next event of the order that changes most, and then the lock that its change holds."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        order = await connection.fetchrow(HOT_ORDER)
        await connection.execute(
            "INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)"
            " VALUES ($1, '/services/order', $2, $3, 'x', '{}')",
            uuid7(), str(order["id"]), order["version"] + 2,
        )  # fmt: skip
        await run.until(lambda: _blocked(connection))
        await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order["id"])
    finally:
        await transaction.rollback()


@fault(21, "a lower id commits later", "P2 P3", reported=False, progress=True)
async def late_commit(run: Run) -> None:
    await asyncio.gather(*(_record(run, number, commits=True) for number in range(3)))


@fault(22, "a gap in the ids from a rollback", "P5", reported=False, progress=True)
async def rollback(run: Run) -> None:
    await asyncio.gather(*(_record(run, 10 + number, commits=False) for number in range(3)))


async def _record(run: Run, number: int, *, commits: bool) -> None:
    """Record an event in a transaction that stays open while others commit."""
    history = Recorder(run.folder / f"client-slow{number}.jsonl")
    group, key = str(uuid7()), f"{run.prefix}slow{number}"
    history.write("invoke", key=key)
    engine = create_engine(run.system.orders.url, application_name="slow")
    try:
        async with engine.connect() as connection:
            await OutboxWriter("/services/order").record(
                connection,
                OrderCancelled(order_id=group, customer_id="slow", reason="slow"),
                subject=group,
                sequence=1,
                correlation_id=key,
            )
            await run.more_effects(5)
            await (connection.commit() if commits else connection.rollback())
    finally:
        await engine.dispose()
    history.write("ok", key=key, group=group, sequence=1) if commits else history.write("fail", key=key)
    history.close()


@fault(23, "clocks ten minutes wrong, in both directions", "P3 P5", "order", "relays", reported=False)
async def wrong_clocks(run: Run) -> None:
    one, other = run.system.relays
    await asyncio.gather(
        run.system.order.restart({"FAULT_CLOCK_SECONDS": "-600"}, launcher=True),
        one.restart({"FAULT_CLOCK_SECONDS": "600"}, launcher=True),
        other.restart({"FAULT_CLOCK_SECONDS": "-600"}, launcher=True),
    )
    await run.more_effects(10)
    await asyncio.gather(run.system.order.restart(), one.restart(), other.restart())


@fault(48, "SIGTERM in mid-work; SIGKILL after it", "P2 P3 P4 P5", "order", "relays", "consumers", reported=False)
async def rolling_restart(run: Run) -> None:
    for actor in run.dice.sample(run.system.actors, len(run.system.actors)):
        if run.dice.random() < 0.5:
            await actor.restart()
        else:
            actor.signal(signal.SIGTERM)
            await run.lasts(0.05)
            actor.signal(signal.SIGKILL)
            await actor.ended()
        await run.more_effects(2)


async def _as_superuser(run: Run, statement: str) -> None:
    connection = await asyncpg.connect(run.system.servers.postgres.admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _terminate(role: str) -> str:
    return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
