"""Zero payload: an event carries a URL instead of the payload, and the subscriber reads it there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from event_trio.clock import SystemClock
from event_trio.consumer.errors import DependencyUnavailable
from event_trio.consumer.payloads import PayloadOptions, PayloadReader
from event_trio.contracts.orders import OrderPlaced
from event_trio.envelope import Envelope
from event_trio.outbox import OutboxWriter
from tools.embedded.ports import LOOPBACK, free_port

RECIPIENT = "ada@example.com"
ATTEMPTS_SECONDS = 0.5


async def run(environment: ComparisonEnvironment) -> LineResult:
    """Prepare one event in both forms, read the payload from a publisher, and try again when the publisher is away."""
    port = free_port()
    origin = f"http://{LOOPBACK}:{port}"
    placed = _placed()
    full = OutboxWriter("/services/order").prepare(placed, subject="order-1", sequence=1, correlation_id="c")
    zero = OutboxWriter(
        "/services/order", references=lambda _, subject, sequence: f"{origin}/v1/orders/{subject}/events/{sequence}"
    ).prepare(placed, subject="order-1", sequence=1, correlation_id="c")
    async with httpx.AsyncClient(trust_env=False, timeout=ATTEMPTS_SECONDS) as client:
        reader = PayloadReader(PayloadOptions((origin,), timeout=ATTEMPTS_SECONDS), client, SystemClock())
        async with _publisher(port, zero.event, placed.model_dump(mode="json")):
            read = await reader.read(zero.event)
        try:
            await reader.read(zero.event)
            waits = False
        except DependencyUnavailable:
            waits = True
    personal = [RECIPIENT in row.body.decode() for row in (full, zero)]
    same = read == placed.model_dump(mode="json")
    text = (
        f"{len(full.body)} bytes with the payload, {len(zero.body)} without; the recipient's address is on the wire: "
        f"{_yes(personal[0])}, {_yes(personal[1])}; the payload that was read is the same: {_yes(same)}; while the "
        f"publisher is away the event waits: {_yes(waits)}"
    )
    wrong = personal != [True, False] or not same or not waits or len(zero.body) >= len(full.body)
    return LineResult({FOUND: Cell(text, "a smaller event without the address, which waits" if wrong else "")})


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _placed() -> OrderPlaced:
    lines = [{"sku": "book", "quantity": 1, "unit_price": "25.00"}]
    return OrderPlaced.model_validate(
        {
            "order_id": "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10",
            "customer_id": "c-1",
            "recipient": RECIPIENT,
            "locale": "en",
            "currency": "EUR",
            "lines": lines,
            "total": "25.00",
        }
    )


@asynccontextmanager
async def _publisher(port: int, event: Envelope, payload: dict[str, object]) -> AsyncIterator[None]:
    """Serves the payload of one event, until the end of the block."""
    body = json.dumps({"id": str(event.id), "data": payload}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, LOOPBACK, port):
        yield
