"""The ceiling of a relay: PublishBatch in a closed loop: `python -m benchmarks.bare.publish`."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import islice
from typing import Annotated

import typer

from benchmarks.bare.clients import ClientKind, client
from benchmarks.suite.events import MadeEvent, OrderMeasured, make_events

BATCH = 10


def main(
    endpoint: str = typer.Option(help="The broker's address."),
    topic_arn: str = typer.Option(help="The topic to publish to."),
    events: int = typer.Option(1000, min=1, help="Events to publish."),
    groups: int = typer.Option(100, min=1, help="Groups that they belong to."),
    lines: int = typer.Option(3, min=0, help="Order lines of each event."),
    in_flight: int = typer.Option(16, min=1, help="Calls at the same time."),
    kind: Annotated[ClientKind, typer.Option("--client", help="The client that makes the calls.")] = ClientKind.STOCK,
    prefix: str = typer.Option("bare", help="The beginning of the groups' names."),
) -> None:
    """Publish events in batches of ten, so many calls at a time, and print seconds and processor time as JSON."""
    made = list(make_events(events, groups, lines, prefix=prefix))
    typer.echo(json.dumps(asyncio.run(_publish(kind, endpoint, topic_arn, made, in_flight))))


async def _publish(
    kind: ClientKind, endpoint: str, topic_arn: str, events: list[MadeEvent], in_flight: int
) -> dict[str, float]:
    rest = iter(events)
    async with client(kind, "sns", endpoint, in_flight) as topics:
        await topics.get_topic_attributes(TopicArn=topic_arn)

        async def loop() -> None:
            while batch := list(islice(rest, BATCH)):
                answer = await topics.publish_batch(
                    TopicArn=topic_arn,
                    PublishBatchRequestEntries=[
                        {
                            "Id": str(index),
                            "Message": event.body.decode(),
                            "MessageGroupId": event.group,
                            "MessageDeduplicationId": str(event.event_id),
                            "MessageAttributes": {"type": {"DataType": "String", "StringValue": OrderMeasured.type}},
                        }
                        for index, event in enumerate(batch)
                    ],
                )
                if answer.get("Failed"):
                    raise RuntimeError(f"not published: {answer['Failed']}")

        began, cpu = time.monotonic(), time.process_time()
        async with asyncio.TaskGroup() as loops:
            for _ in range(in_flight):
                loops.create_task(loop())
        return {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}


if __name__ == "__main__":
    typer.run(main)
