"""The stub broker's command: `python -m benchmarks.stub_broker`."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import Annotated

import typer

from benchmarks.stub_broker.broker import FIFO, Broker
from benchmarks.stub_broker.protocol import StubConnection
from benchmarks.stub_broker.service import StubService

HELP = """Serve a stub of SNS FIFO and SQS FIFO over HTTP, until it is interrupted.

It speaks the protocols of the AWS SDKs: point a client's endpoint URL at it; any credentials will do. It implements
PublishBatch, Publish, GetTopicAttributes, ListSubscriptionsByTopic, GetSubscriptionAttributes, CreateTopic and
Subscribe of SNS; GetQueueUrl, CreateQueue, GetQueueAttributes, SendMessage, ReceiveMessage (with long polls),
DeleteMessage and ChangeMessageVisibility of SQS, also in batches; and GetCallerIdentity of STS.

A group is not delivered while one of its messages is in flight. Deduplication ids are remembered for five minutes.
Deliveries from a topic are raw. Not implemented: signatures, permissions, retention, dead-letter redrive, delays,
standard topics and queues, persistence.

GET /_stub/report answers with counts: calls and entries by operation, bytes, messages out of order, repeats,
redeliveries. GET /_stub/times answers with the times of each message (--keep-times). POST /_stub/reset empties
everything. POST /_stub/fill?queue=NAME takes lines of JSON (group, id, body, attributes).

\b
Example, with a filtered queue and a publish check:
    python -m benchmarks.stub_broker \\
        --subscribe order-events.fifo=reader.fifo:order.placed,order.shipped \\
        --subscribe order-events.fifo=order-events-publish-check.fifo \\
        --queue reader-dlq.fifo
"""


def main(
    subscribe: Annotated[
        list[str] | None,
        typer.Option(
            help="TOPIC=QUEUE or TOPIC=QUEUE:TYPE,TYPE: a queue of a topic, and the types it gets. Repeatable."
        ),
    ] = None,
    queue: Annotated[list[str] | None, typer.Option(help="A queue without a topic. Repeatable.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="A topic without queues. Repeatable.")] = None,
    latency_ms: Annotated[
        float, typer.Option(min=0, max=10_000, help="Milliseconds from a request to its answer, at least.")
    ] = 10.0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")] = 4599,
    order_field: Annotated[
        str, typer.Option(help="The field of the body whose values are 1, 2, 3, ... in each group.")
    ] = "sequence",
    filter_attribute: Annotated[
        str, typer.Option(help="The message attribute that the types of --subscribe are compared with.")
    ] = "type",
    keep_times: Annotated[
        bool, typer.Option("--keep-times", help="Keep the time of each publish and delete; costs memory.")
    ] = False,
    region: Annotated[str, typer.Option(help="The region in ARNs.")] = "us-east-1",
    account: Annotated[str, typer.Option(help="The account in ARNs and queue URLs.")] = "000000000000",
) -> None:
    broker = Broker(order_field=order_field, keep_times=keep_times, region=region, account=account)
    for name in [*(topic or ()), *(queue or ())]:
        _ensure_fifo(name)
    for name in topic or ():
        broker.add_topic(name)
    for name in queue or ():
        broker.add_queue(name)
    for given in subscribe or ():
        topic_name, queue_name, types = _subscription(given)
        broker.subscribe(topic_name, queue_name, {filter_attribute: frozenset(types)} if types else {})
    asyncio.run(_serve(broker, host, port, latency_ms / 1000))


def _subscription(given: str) -> tuple[str, str, list[str]]:
    topic, _, rest = given.partition("=")
    queue, _, types = rest.partition(":")
    for name in (topic, queue):
        _ensure_fifo(name)
    return topic, queue, [name for name in types.split(",") if name]


def _ensure_fifo(name: str) -> None:
    if not name.endswith(FIFO):
        raise typer.BadParameter(f"{name!r}: names of topics and queues end with {FIFO}")


async def _serve(broker: Broker, host: str, port: int, latency: float) -> None:
    # What it keeps is reached until it is deleted, and has no cycles: to search it costs more than it serves.
    gc.disable()
    service = StubService(broker)

    def count(bytes_in: int, bytes_out: int) -> None:
        broker.bytes_in += bytes_in
        broker.bytes_out += bytes_out

    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        server = await loop.create_server(lambda: StubConnection(service.serve, latency, count), host, port)
    except OSError as error:
        typer.echo(f"error: cannot listen on {host}:{port}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    ticking = asyncio.create_task(service.tick())
    typer.echo(f"http://{host}:{server.sockets[0].getsockname()[1]}")
    await stopping.wait()
    ticking.cancel()
    server.close()


if __name__ == "__main__":
    command = typer.Typer(add_completion=False, rich_markup_mode=None)
    command.command(help=HELP)(main)
    command()
