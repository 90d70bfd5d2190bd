"""Message groups alone: a publisher commits and then sends, without an outbox. FIFO keeps the order of what is sent."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass

import asyncpg

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import FifoBroker, fifo_broker, versions

GROUPS, CHANGES = 15, 4
CRASHES = 0.1
"""The share of changes after whose commit the process ends before it sends."""
LONGEST_PAUSE = 2.5
"""The longest time from a commit to its sending, where the changes of an order are 1 apart."""
TABLES = """
CREATE TABLE change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_group text NOT NULL,
    version integer NOT NULL,
    sent boolean NOT NULL DEFAULT false
)
"""
COMMIT = "INSERT INTO change (message_group, version) VALUES ($1, $2)"
UNSENT = "SELECT id, message_group, version FROM change WHERE NOT sent ORDER BY id"
SENT = "UPDATE change SET sent = true WHERE id = $1"


@dataclass(frozen=True)
class Received:
    """What the subscriber received, compared with what was committed."""

    lost: int
    groups_out_of_order: int

    def __str__(self) -> str:
        return f"{self.lost} lost, {self.groups_out_of_order} of {GROUPS} groups out of order"


async def run(environment: ComparisonEnvironment) -> LineResult:
    """The same changes, sent by those who committed them, and sent from a table that is written with them."""
    server = await environment.postgres("groups-alone")
    connection = await asyncpg.connect(server.admin_url)
    try:
        await connection.execute("DROP TABLE IF EXISTS change")
        await connection.execute(TABLES)
        async with fifo_broker(environment, "groups") as broker:
            alone = await send_after_commit(broker, connection, environment.random("groups-alone"))
            outbox = await send_from_table(broker, connection)
        version = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    wrong = not alone.lost or not alone.groups_out_of_order or outbox != Received(0, 0)
    text = f"{GROUPS * CHANGES} changes. Commit, then send: {alone}. From an outbox: {outbox}"
    unexpected = "losses and disorder without an outbox, none with it" if wrong else ""
    return LineResult({FOUND: Cell(text, unexpected)}, versions=versions() | {"Postgres": version})


async def send_after_commit(
    broker: FifoBroker, connection: asyncpg.Connection[asyncpg.Record], chance: random.Random
) -> Received:
    """Each change is a request of its own: it commits, and sends when its process comes to it, or ends before."""
    queue = await broker.queue("alone")
    for version, group in itertools.product(range(CHANGES), range(GROUPS)):
        await connection.execute(COMMIT, f"order-{group}", version)
    # Requests for one order overlap: one that commits later may send earlier.
    sending = sorted(
        (number + chance.uniform(0, LONGEST_PAUSE), f"order-{group}", number)
        for group in range(GROUPS)
        for number in range(CHANGES)
    )
    for _, name, number in sending:
        if chance.random() >= CRASHES:
            await broker.send(queue, str(number), group=name, key=f"{name}-{number}")
    return compared(await _received(broker, queue))


async def send_from_table(broker: FifoBroker, connection: asyncpg.Connection[asyncpg.Record]) -> Received:
    """A relay reads what was committed, in that order, and forgets nothing: it marks what it sent."""
    queue = await broker.queue("outbox")
    for row in await connection.fetch(UNSENT):
        group, version = row["message_group"], row["version"]
        await broker.send(queue, str(version), group=group, key=f"{group}-{version}")
        await connection.execute(SENT, row["id"])
    return compared(await _received(broker, queue))


def compared(received: dict[str, list[int]]) -> Received:
    """Every group has the versions from 0 on, in that order."""
    lost = GROUPS * CHANGES - sum(len(found) for found in received.values())
    return Received(lost, sum(found != sorted(found) for found in received.values()))


async def _received(broker: FifoBroker, queue: str) -> dict[str, list[int]]:
    received: dict[str, list[int]] = defaultdict(list)
    while found := await broker.receive(queue):
        for message in found:
            received[message.group].append(int(message.body))
            await broker.delete(queue, message)
    return dict(received)
