"""The lean client's HTTP connection: answers in any pieces, and malformed answers."""

import asyncio
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trio.broker.lean.connection import HEAD_BYTES, Disconnected, HttpConnection, MalformedAnswer, RawAnswer

STATUS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.closed = False
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """The body in chunks of these sizes, and then in one."""
    parts, rest = [], body
    for size in [*sizes, len(body)]:
        part, rest = rest[:size], rest[size:]
        if part:
            parts.append(b"%x;name=value\r\n%b\r\n" % (len(part), part))
    return b"".join(parts) + b"0\r\nTrailer: t\r\n\r\n"


async def feed(*pieces: bytes, ended: bool = False) -> tuple[RawAnswer, HttpConnection, Wire]:
    """What a request is answered when these pieces arrive."""
    connection, wire = HttpConnection(None), Wire()
    connection.connection_made(cast(Any, wire))
    call = asyncio.create_task(connection.request(b"request"))
    await asyncio.sleep(0)
    assert wire.written == b"request"
    for piece in pieces:
        connection.data_received(piece)
    if ended:
        connection.connection_lost(None)
    return await asyncio.wait_for(call, 10), connection, wire


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


@given(
    body=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 100), max_size=5),
    how=st.sampled_from(["length", "chunks", "end"]),
    places=st.lists(st.integers(0, 1000), max_size=12),
)
def test_an_answer_is_read_from_any_pieces(body: bytes, sizes: list[int], how: str, places: list[int]) -> None:
    framed = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunks": CHUNKED + chunked(body, sizes),
        "end": b"\r\n" + body,
    }[how]
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    pieces = cut(interim + STATUS + b"X-Name:  value \r\n" + framed, places)
    answer, connection, wire = asyncio.run(feed(*pieces, ended=how == "end"))
    assert (answer.status, answer.headers["x-name"], answer.body) == (200, "value", body)
    assert connection.is_usable is (how != "end")
    assert wire.closed is False


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        STATUS + b"no colon\r\n\r\n",
        STATUS + b": no name\r\n\r\n",
        STATUS + b"Folded: a\r\n b: c\r\n\r\n",
        STATUS + b"Content-Length: -1\r\n\r\n",
        STATUS + b"Content-Length: 1_0\r\n\r\n",
        STATUS + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        STATUS + CHUNKED + b"-5\r\n",
        STATUS + CHUNKED + b"xyz\r\n",
        STATUS + CHUNKED + b"1\r\nab\r\n",
        STATUS + CHUNKED + b"1" * (HEAD_BYTES + 1),
        STATUS + b"X: " + b"x" * HEAD_BYTES,
    ],
)
async def test_what_is_no_answer_closes_the_connection(answer: bytes) -> None:
    connection, wire = HttpConnection(None), Wire()
    connection.connection_made(cast(Any, wire))
    call = asyncio.create_task(connection.request(b""))
    await asyncio.sleep(0)
    connection.data_received(answer)
    with pytest.raises(MalformedAnswer):
        await call
    assert wire.closed
    assert not connection.is_usable


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_that_has_no_body(status: bytes) -> None:
    answer, connection, _ = await feed(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
    assert answer.body == b""
    assert connection.is_usable


async def test_more_than_was_announced_is_not_taken_for_the_next_answer() -> None:
    answer, connection, wire = await feed(STATUS + b"Content-Length: 1\r\n\r\nabc")
    assert answer.body == b"a"
    assert wire.closed
    assert not connection.is_usable


async def test_what_nobody_asked_for_closes_the_connection() -> None:
    _, connection, wire = await feed(STATUS + b"Content-Length: 0\r\n\r\n")
    connection.data_received(STATUS)
    assert wire.closed
    assert not connection.is_usable


async def test_a_request_over_a_closed_connection_fails() -> None:
    with pytest.raises(Disconnected):
        await HttpConnection(None).request(b"")
