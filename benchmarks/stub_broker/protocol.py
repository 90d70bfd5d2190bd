"""HTTP/1.1 for the stub: one request after the other on a connection, parsed by hand, answered after the latency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

LONGEST_HEAD = 65_536
REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 411: "Length Required"}


@dataclass(slots=True)
class Request:
    """One request. `target` is the operation that SQS's JSON protocol names in a header, or empty."""

    method: str
    path: str
    target: str
    host: str
    body: bytes
    at: float


@dataclass(slots=True)
class HttpAnswer:
    """What goes back."""

    body: bytes
    content_type: str
    status: int = 200
    headers: str = ""


class Reply(Protocol):
    """Sends the answer of one request, at the earliest one latency after the request."""

    def __call__(self, answer: HttpAnswer) -> None:
        """Send it; nothing happens when the client has gone."""

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        ...


Serve = Callable[[Request, Reply], None]


class StubConnection(asyncio.Protocol):
    """A client's connection; it is also the `Reply` of the request that is being answered."""

    def __init__(self, serve: Serve, latency: float, count: Callable[[int, int], None]) -> None:
        self._serve = serve
        self._latency = latency
        self._count = count
        self._buffer = bytearray()
        self._busy = False
        self._continued = False
        self._arrived_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start of a connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End of a connection; an answer that is still to be sent is dropped."""
        self._transport = None
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Collect until a request is whole."""
        self._buffer += data
        if not self._busy:
            self._next()

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        return self._transport is None or self._transport.is_closing()

    def __call__(self, answer: HttpAnswer) -> None:
        """Send the answer when the latency is over."""
        head = (
            f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Error')}\r\nContent-Type: {answer.content_type}\r\n"
            f"{answer.headers}Content-Length: {len(answer.body)}\r\n\r\n"
        )
        whole = head.encode("latin-1") + answer.body
        left = self._arrived_at + self._latency - time.monotonic()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._write, whole)
        else:
            self._write(whole)

    def _write(self, whole: bytes) -> None:
        self._timer = None
        if self._transport is None:
            return
        self._transport.write(whole)
        self._count(0, len(whole))
        self._busy = False
        if self._buffer:
            self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > LONGEST_HEAD and self._transport:
                self._transport.close()
            return
        head = bytes(self._buffer[:end])
        lower = head.lower()
        if b"\r\ntransfer-encoding:" in lower:
            self._refuse()
            return
        whole = end + 4 + int(_header(head, lower, b"\r\ncontent-length:") or b"0")
        if len(self._buffer) < whole:
            if not self._continued and b"\r\nexpect:" in lower and self._transport:
                self._continued = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        self._busy, self._continued, self._arrived_at = True, False, time.monotonic()
        self._count(whole, 0)
        method, path, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        target = _header(head, lower, b"\r\nx-amz-target:").decode("latin-1").rpartition(".")[2]
        host = _header(head, lower, b"\r\nhost:").decode("latin-1")
        self._serve(Request(method, path, target, host, body, self._arrived_at), self)

    def _refuse(self) -> None:
        if self._transport:
            self._transport.write(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()


def _header(head: bytes, lower: bytes, name: bytes) -> bytes:
    begin = lower.find(name)
    if begin < 0:
        return b""
    begin += len(name)
    end = head.find(b"\r\n", begin)
    return head[begin : end if end >= 0 else len(head)].strip()
