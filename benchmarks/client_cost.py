"""What a call to the broker costs the caller: CPU of the lean client over the stock client's, for a batch of ten.

`python -m benchmarks.client_cost`. A process of its own answers every request at once with the same bytes, so that
what is measured is the client. The two clients take turns, A B B A; their ratios are of neighbouring runs, and so is
the ratio of the lean client over itself, which shows the noise.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import Any, ClassVar

import typer

from benchmarks.ratios import compare
from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.lean import lean

BATCH = 10
CALL_SECONDS = 5.0
MESSAGE = json.dumps(
    {
        "specversion": "1.0",
        "id": "01928c1e-9d2b-7c3a-8f4e-5a6b7c8d9e0f",
        "source": "/orders",
        "type": "order.placed",
        "subject": "order-0",
        "time": "2026-01-01T00:00:00Z",
        "data": {"currency": "EUR", "lines": [{"sku": f"sku-{n}", "quantity": n} for n in range(10)]},
    }
)
ATTRIBUTES = ("type", "traceparent", "correlationid")
ROWS = "".join(
    f"<member><MessageId>01928c1e-9d2b-5c3a-8f4e-5a6b7c8d9e{n:02d}</MessageId><Id>{n}</Id>"
    f"<SequenceNumber>100000000000000000{n:02d}</SequenceNumber></member>"
    for n in range(BATCH)
)
ANSWERS: dict[str, str] = {
    "PublishBatch": (
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Failed/>'
        f"<Successful>{ROWS}</Successful></PublishBatchResult><ResponseMetadata><RequestId>1549581b-12b7-11e3-895e"
        "</RequestId></ResponseMetadata></PublishBatchResponse>"
    ),
    "ReceiveMessage": json.dumps(
        {
            "Messages": [
                {
                    "MessageId": f"m-{n}",
                    "ReceiptHandle": "AQEB" + "x" * 300,
                    "MD5OfBody": "0" * 32,
                    "Body": MESSAGE,
                    "Attributes": {"MessageGroupId": f"order-{n}", "ApproximateReceiveCount": "1"},
                    "MessageAttributes": {name: {"StringValue": "x" * 20, "DataType": "String"} for name in ATTRIBUTES},
                }
                for n in range(BATCH)
            ]
        }
    ),
    "DeleteMessageBatch": json.dumps({"Successful": [{"Id": str(n)} for n in range(BATCH)], "Failed": []}),
}
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PublishBatch": (
        "sns",
        "publish_batch",
        {
            "TopicArn": "arn:aws:sns:us-east-1:000000000000:order-events.fifo",
            "PublishBatchRequestEntries": [
                {
                    "Id": str(n),
                    "Message": MESSAGE,
                    "MessageGroupId": f"order-{n}",
                    "MessageDeduplicationId": f"01928c1e-9d2b-7c3a-8f4e-5a6b7c8d9e{n:02d}",
                    "MessageAttributes": {name: {"DataType": "String", "StringValue": "x" * 20} for name in ATTRIBUTES},
                }
                for n in range(BATCH)
            ],
        },
    ),
    "ReceiveMessage": (
        "sqs",
        "receive_message",
        {"QueueUrl": "http://127.0.0.1/q", "MaxNumberOfMessages": BATCH, "MessageAttributeNames": ["All"]},
    ),
    "DeleteMessageBatch": (
        "sqs",
        "delete_message_batch",
        {
            "QueueUrl": "http://127.0.0.1/q",
            "Entries": [{"Id": str(n), "ReceiptHandle": "AQEB" + "x" * 300} for n in range(BATCH)],
        },
    ),
}


def main(pairs: int = 20, calls: int = 200, serve: bool = False) -> None:
    """Print the cost of each call, and the ratio; `--serve` is the answering process."""
    if serve:
        asyncio.run(_serve())
        return
    typer.echo(
        f"{pairs} pairs of {calls} calls, {BATCH} messages of {len(MESSAGE)} bytes a call; Python "
        f"{platform.python_version()}, aiobotocore {version('aiobotocore')}, {os.cpu_count()} CPUs"
    )
    costs = asyncio.run(measured(pairs, calls, lambda line: typer.echo(line, err=True)))
    for name, cost in costs.items():
        typer.echo(
            f"{name}: lean over stock {compare(cost.ratios)}; lean over lean {compare(cost.noise)}; medians stock "
            f"{median(cost.stock_ms):.3f} ms, lean {median(cost.lean_ms):.3f} ms of CPU a call"
        )


@dataclass
class CallCost:
    """CPU of one call, in milliseconds by client, and the ratios of neighbouring runs."""

    ratios: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    """The lean client over itself."""
    stock_ms: list[float] = field(default_factory=list)
    lean_ms: list[float] = field(default_factory=list)


async def measured(pairs: int, calls: int, show: Callable[[str], None]) -> dict[str, CallCost]:
    """The cost of each call; `show` gets a line after each pair."""
    costs = {}
    async with _answering() as url:
        aws = Aws("us-east-1", url, "stock")
        async with (
            sns(aws, call_seconds=CALL_SECONDS) as topics,
            sqs(aws, call_seconds=CALL_SECONDS) as queues,
            lean(topics, call_seconds=CALL_SECONDS) as lean_topics,
            lean(queues, call_seconds=CALL_SECONDS) as lean_queues,
        ):
            stock_of, lean_of = {"sns": topics, "sqs": queues}, {"sns": lean_topics, "sqs": lean_queues}
            for name, (service, method, parameters) in CALLS.items():
                theirs = _calling(getattr(stock_of[service], method), parameters)
                ours = _calling(getattr(lean_of[service], method), parameters)
                costs[name] = await _compare(name, theirs, ours, pairs, calls, show)
    return costs


async def _compare(
    name: str,
    stock: Callable[[], Awaitable[Any]],
    ours: Callable[[], Awaitable[Any]],
    pairs: int,
    calls: int,
    show: Callable[[str], None],
) -> CallCost:
    for call in (stock, ours):
        await _cpu_ms(call, 20)  # the first calls read models and open connections
    found = CallCost()
    for pair in range(pairs):
        first = await _cpu_ms(ours, calls)
        theirs = await _cpu_ms(stock, calls)
        second = await _cpu_ms(ours, calls)
        found.ratios += [first / theirs, second / theirs]
        found.noise.append(second / first)
        found.stock_ms.append(theirs)
        found.lean_ms.append(second)
        show(f"{name}: pair {pair + 1}/{pairs}: stock {theirs:.3f} ms, lean {second:.3f} ms")
    return found


async def _cpu_ms(call: Callable[[], Awaitable[Any]], calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - began) * 1000 / calls


def _calling(method: Callable[..., Awaitable[Any]], parameters: dict[str, Any]) -> Callable[[], Awaitable[Any]]:
    return lambda: method(**parameters)


@asynccontextmanager
async def _answering() -> AsyncIterator[str]:
    """The address of a process that answers."""
    command = (sys.executable, "-m", "benchmarks.client_cost", "--serve")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        port = (await process.stdout.readline()).decode().strip() if process.stdout else ""
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
    typer.echo(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Answering(asyncio.Protocol):
    """Reads a request as far as its end, and answers by the operation that it names."""

    answers: ClassVar[dict[str, bytes]] = {
        name: f"HTTP/1.1 200 OK\r\nx-amzn-RequestId: r\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n{body}".encode()
        for name, body in ANSWERS.items()
    }

    def connection_made(self, transport: Any) -> None:
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if end and len(rest) >= length:
            self._read = b""
            target = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"x-amz-target:")), b"")
            self._transport.write(self.answers[target.rpartition(b".")[2].decode() or "PublishBatch"])


if __name__ == "__main__":
    typer.run(main)
