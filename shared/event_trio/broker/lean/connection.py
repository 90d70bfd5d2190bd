"""An HTTP/1.1 connection that carries one request at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

HEAD_BYTES = 65_536
"""The most that status line and headers may take."""
END = b"\r\n\r\n"
BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer. Header names are in lower case. The last value of a repeated header counts."""

    status: int
    headers: dict[str, str]
    body: bytes


class Disconnected(Exception):
    """The server closed the connection before its answer was complete."""


class MalformedAnswer(Exception):
    """The server sent something other than an HTTP answer."""


class ReadTimeout(Exception):
    """The server sent nothing within the read timeout."""


class HttpConnection(asyncio.Protocol):
    """Sends a request and reads its answer. After any failure the connection is closed."""

    def __init__(self, read_seconds: float | None) -> None:
        self.idle_since = 0.0
        self._read_seconds = read_seconds
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[RawAnswer] | None = None
        self._buffer = bytearray()
        self._head: tuple[int, dict[str, str]] | None = None
        self._persists = False
        self._needed: int | None = None
        self._chunks: _Chunks | None = None
        self._read_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing() and self._answered is None

    async def request(self, data: bytes) -> RawAnswer:
        """Send the bytes of a request, and return its answer.

        Raises Disconnected, MalformedAnswer, ReadTimeout, or the OSError with which the connection broke. When the
        caller is cancelled, the connection is closed.
        """
        if self._transport is None or self._transport.is_closing():
            raise Disconnected
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[RawAnswer] = loop.create_future()
        self._answered = answered
        self._head, self._needed, self._chunks, self._persists = None, None, None, False
        self._read_at = loop.time()
        if self._read_seconds is not None:
            self._timer = loop.call_later(self._read_seconds, self._check_timeout, loop)
        complete = False
        try:
            self._transport.write(data)
            answer = await answered
            complete = True
            return answer
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._answered = None
            if not (complete and self._persists):
                self.close()

    def close(self) -> None:
        """Close at once. A request under way fails with Disconnected."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._answered.done():
            # Data without a request would be mistaken for the answer to the next one.
            self.close()
            return
        self._buffer += data
        self._read_at = asyncio.get_running_loop().time()
        try:
            self._read()
        except (ValueError, MalformedAnswer) as error:
            self._fail(MalformedAnswer(str(error)))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answered is None or self._answered.done():
            return
        if exc is None and self._head is not None and self._needed is None and self._chunks is None:
            body = bytes(self._buffer)
            self._buffer.clear()
            self._finish(body)
        else:
            # A reset inside the body counts as an incomplete answer, as it does for aiohttp.
            self._fail(exc if isinstance(exc, OSError) and self._head is None else Disconnected())

    def _read(self) -> None:
        while self._head is None:
            end = self._buffer.find(END)
            if max(end, len(self._buffer) if end < 0 else 0) > HEAD_BYTES:
                raise MalformedAnswer("the head of the answer is too long")
            if end < 0:
                return
            status, headers = self._parse_head(bytes(self._buffer[:end]))
            del self._buffer[: end + len(END)]
            if status < 200:
                continue  # an interim answer
            self._head = (status, headers)
            self._measure(status, headers)
        if self._chunks is not None:
            body = self._chunks.read(self._buffer)
            if body is not None:
                self._finish(body)
        elif self._needed is not None and len(self._buffer) >= self._needed:
            body = bytes(self._buffer[: self._needed])
            del self._buffer[: self._needed]
            self._finish(body)

    def _parse_head(self, head: bytes) -> tuple[int, dict[str, str]]:
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.partition(b" ")
        code = rest[:3]
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdigit() or rest[3:4] not in (b" ", b""):
            raise MalformedAnswer("no HTTP status line")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise MalformedAnswer("a header without a name")
            headers[name.decode().lower()] = value.strip(b" \t").decode()
        connection = headers.get("connection", "").lower()
        self._persists = version == b"HTTP/1.1" and "close" not in connection
        return int(code), headers

    def _measure(self, status: int, headers: dict[str, str]) -> None:
        if status in BODILESS:
            self._needed = 0
        elif "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked":
                raise MalformedAnswer("a transfer encoding that is not known")
            self._chunks = _Chunks()
        elif "content-length" in headers:
            length = headers["content-length"]
            if not (length.isascii() and length.isdigit()):
                raise MalformedAnswer("a length that is no number")
            self._needed = int(length)
        else:
            self._persists = False

    def _finish(self, body: bytes) -> None:
        if self._answered is not None and self._head is not None:
            if self._buffer:
                self._persists = False  # the server sent more than it announced
            status, headers = self._head
            self._answered.set_result(RawAnswer(status, headers, body))

    def _fail(self, error: Exception) -> None:
        self._persists = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _check_timeout(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail if nothing arrived within the read timeout; otherwise wait for the rest of it."""
        if self._answered is None or self._answered.done() or self._read_seconds is None:
            return
        left = self._read_at + self._read_seconds - loop.time()
        if left <= 0:
            self._fail(ReadTimeout())
        else:
            self._timer = loop.call_later(left, self._check_timeout, loop)


class _Chunks:
    """A chunked body, read as it arrives."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._ended = False

    def read(self, buffer: bytearray) -> bytes | None:
        """Move complete chunks out of the buffer. Returns the body after the last chunk, None before."""
        while True:
            end = buffer.find(b"\r\n")
            if end < 0:
                if len(buffer) > HEAD_BYTES:
                    raise MalformedAnswer("a chunk without a size")
                return None
            line = bytes(buffer[:end])
            if self._ended:
                del buffer[: end + 2]
                if not line:
                    return bytes(self._body)
                continue  # a trailer
            size = int(line.partition(b";")[0].strip(), 16)
            if size < 0:
                raise MalformedAnswer("a chunk of a negative size")
            if size == 0:
                del buffer[: end + 2]
                self._ended = True
                continue
            start, stop = end + 2, end + 2 + size
            if len(buffer) < stop + 2:
                return None
            if buffer[stop : stop + 2] != b"\r\n":
                raise MalformedAnswer("a chunk longer than its size")
            self._body += buffer[start:stop]
            del buffer[: stop + 2]
