"""An HTTP proxy of the broker that simulates failures: resets, silence, invalid answers, rejections."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import urlsplit

from event_trio.broker.aws import Aws
from tools.embedded.ports import LOOPBACK


@dataclass(frozen=True)
class Fault:
    """A failure of one call."""

    name: str
    passes: bool = False
    """Whether the broker receives the request."""
    answer: Callable[[bytes], bytes | None] = lambda _: None
    """Maps the answer of the broker to the one that is returned; None resets the connection, `b""` sends nothing."""
    delay: float = 0.0


@dataclass
class FaultyBroker:
    """The proxy, to which `aws` connects. Calls pass unless a fault is planned for them."""

    aws: Aws
    calls: list[str] = field(default_factory=list)
    """The actions of the calls, in order."""
    requests: list[bytes] = field(default_factory=list)
    """The heads of the requests, in order."""
    _planned: list[tuple[str, Fault]] = field(default_factory=list)

    def plan(self, action: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next `times` calls of this action fail."""
        self._planned += [(action, fault)] * times

    @property
    def is_over(self) -> bool:
        """Whether every planned fault has happened."""
        return not self._planned

    def take(self, action: str) -> Fault | None:
        """The fault that is planned for this call."""
        for index, (planned, fault) in enumerate(self._planned):
            if planned == action:
                del self._planned[index]
                return fault
        return None


@asynccontextmanager
async def faulty_broker(aws: Aws) -> AsyncIterator[FaultyBroker]:
    """A proxy of this broker."""
    upstream = urlsplit(aws.endpoint_url or "")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        try:
            await answer_calls(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            connections.discard(asyncio.current_task())

    async def answer_calls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            action = _action(head, body)
            broker.calls.append(action)
            broker.requests.append(head)
            fault = broker.take(action)
            passes = fault is None or fault.passes
            answer: bytes | None = await _forward(upstream.hostname, upstream.port, head, body) if passes else b""
            if fault is not None:
                answer = fault.answer(answer or b"")
                await asyncio.sleep(fault.delay)
            if answer is None:
                _reset(writer)
                return
            if not answer:
                await reader.read()  # send nothing until the caller closes the connection
                return
            writer.write(answer)
            await writer.drain()

    connections: set[asyncio.Task[object] | None] = set()
    server = await asyncio.start_server(serve, LOOPBACK, 0, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    broker = FaultyBroker(Aws(aws.region, f"http://{LOOPBACK}:{port}"))
    try:
        yield broker
    finally:
        server.close()
        for connection in list(connections):
            if connection is not None:
                connection.cancel()
                await asyncio.wait([connection])


def answer_of(status: str, body: str, *, content_type: str = "text/xml", length: int | None = None) -> bytes:
    """An HTTP answer; a `length` that differs from the body truncates it."""
    content = body.encode()
    size = len(content) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + content


def refusal(status: str, code: str) -> bytes:
    """A rejection by SNS."""
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return answer_of(status, body)


def json_refusal(status: str, code: str) -> bytes:
    """A rejection by SQS."""
    return answer_of(status, f'{{"__type": "{code}", "message": "no"}}', content_type="application/x-amz-json-1.0")


async def _forward(host: str | None, port: int | None, head: bytes, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
        writer.write(b"\r\n".join([*lines[:-2], b"Connection: close", b"", b""]) + body)
        await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    # The connection of the caller stays open; a stale connection is a separate fault.
    return answer.replace(b"onnection: close\r\n", b"onnection: keep-alive\r\n", 1)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def _action(head: bytes, body: bytes) -> str:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"x-amz-target:"):
            return line.rpartition(b".")[2].decode()
    for part in body.split(b"&"):
        if part.startswith(b"Action="):
            return part[7:].decode()
    return ""
