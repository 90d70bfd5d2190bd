"""The ceiling of a consumer: receive, insert if asked to, delete.

`python -m benchmarks.bare.receive`.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Annotated, Any

import asyncpg
import typer

from benchmarks.bare.clients import ClientKind, client

BATCH = 10
VISIBILITY_SECONDS = 60
TABLE = "CREATE TABLE IF NOT EXISTS bare_inbox (id text PRIMARY KEY, at timestamptz DEFAULT now())"


def main(
    endpoint: str = typer.Option(help="The broker's address."),
    queue: str = typer.Option(help="The queue's name."),
    events: int = typer.Option(1000, min=1, help="Stop when so many messages were deleted."),
    kind: Annotated[ClientKind, typer.Option("--client", help="The client that makes the calls.")] = ClientKind.STOCK,
    loops: int = typer.Option(4, min=1, help="Loops at the same time."),
    database_url: str = typer.Option("", help="Insert a row for each message there, in a transaction of its own."),
    connections: int = typer.Option(16, min=1, help="Connections to the database."),
) -> None:
    """Empty a queue, and print seconds and processor time as JSON."""
    typer.echo(json.dumps(asyncio.run(_empty(kind, endpoint, queue, events, loops, database_url, connections))))


async def _empty(
    kind: ClientKind, endpoint: str, name: str, events: int, loops: int, database_url: str, connections: int
) -> dict[str, float]:
    left = events
    async with AsyncExitStack() as stack:
        queues = await stack.enter_async_context(client(kind, "sqs", endpoint, 2 * loops))
        pool: Any = None
        if database_url:
            made = asyncpg.create_pool(database_url, min_size=connections, max_size=connections)
            pool = await stack.enter_async_context(made)
            await pool.execute(TABLE)
        url = (await queues.get_queue_url(QueueName=name))["QueueUrl"]

        async def insert(message: Any) -> None:
            await pool.execute("INSERT INTO bare_inbox (id) VALUES ($1)", message["MessageId"])

        async def loop() -> None:
            nonlocal left
            while left > 0:
                answer = await queues.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=BATCH,
                    WaitTimeSeconds=1,
                    VisibilityTimeout=VISIBILITY_SECONDS,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["All"],
                )
                messages = answer.get("Messages", [])
                if not messages:
                    continue
                if pool is not None:
                    await asyncio.gather(*(insert(message) for message in messages))
                await queues.delete_message_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                        for index, message in enumerate(messages)
                    ],
                )
                left -= len(messages)

        began, cpu = time.monotonic(), time.process_time()
        async with asyncio.TaskGroup() as running:
            for _ in range(loops):
                running.create_task(loop())
        return {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}


if __name__ == "__main__":
    typer.run(main)
