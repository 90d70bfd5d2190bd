"""Holds, releases and discards while two relays work on a real broker: nothing is lost, and order is kept."""

import asyncio

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.relay.audit_log import Decision
from services.relay.operators.operations import Operations
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import fill, pool, query, unpublished
from tests.support.readers import drain_queue, first_sequences
from tests.support.relays import running, settings
from tests.support.waiting import eventually

OLGA = Decision("olga", "because")
GROUPS, EACH = 8, 60
HELD = ("s-1", "s-2", "s-3")


async def test_held_groups_are_not_sent_and_arrive_in_order_after_their_release(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    url = outbox_database.url_for(OUTBOX_RELAY)
    made = settings(url, aws, topology, call_seconds=1)

    async def waiting() -> dict[str, int]:
        rows = await query(
            outbox_database.url,
            "SELECT subject, count(*) AS n FROM outbox_event WHERE published_at IS NULL GROUP BY subject",
        )
        return {row["subject"]: row["n"] for row in rows}

    async with pool(url) as operators:
        operations = Operations(operators, call_seconds=made.call_seconds)
        async with running(made) as first, running(made):
            await first.wait("lanes.changed")
            await fill(outbox_database.url, GROUPS, each=EACH)
            await first.wait("relay.sent", timeout=20)
            await asyncio.gather(*(operations.hold(subject, OLGA) for subject in HELD))

            async def only_the_held_wait() -> dict[str, int]:
                left = await waiting()
                return left if set(left) == set(HELD) else {}

            await eventually(only_the_held_wait, timeout=60)
            states = await query(
                outbox_database.url, "SELECT DISTINCT held_reason FROM outbox_event WHERE held_at IS NOT NULL"
            )
            assert {row["held_reason"] for row in states} == {"held by olga: because"}

            async def settled() -> bool:
                held = await query(
                    outbox_database.url,
                    "SELECT extract(epoch FROM clock_timestamp() - max(held_at)) AS age FROM outbox_event"
                    " WHERE held_at IS NOT NULL",
                )
                return float(held[0]["age"]) > operations.settling_seconds

            await eventually(settled, timeout=20)
            rows = await query(
                outbox_database.url,
                "SELECT event_id, sequence FROM outbox_event WHERE subject = 's-1' AND held_at IS NOT NULL"
                " ORDER BY sequence LIMIT 1",
            )
            discarded = rows[0]["sequence"]
            await operations.discard(rows[0]["event_id"], OLGA)
            await asyncio.gather(*(operations.release(subject, OLGA) for subject in HELD))

            async def all_published() -> bool:
                return await unpublished(outbox_database.url) == 0

            await eventually(all_published, timeout=60)
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), GROUPS * EACH - 1)
    complete = {f"s-{g}": list(range(1, EACH + 1)) for g in range(1, GROUPS + 1)}
    complete["s-1"].remove(discarded)
    assert first_sequences(arrived) == complete
