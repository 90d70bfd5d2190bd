"""Failures of networks and servers: the lean client raises the stock client's exceptions, and recovers as it does."""

import asyncio
import socket
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from event_trio.broker.lean import lean
from tests.support.lean_clients import CALLS, both_clients, outcome
from tests.support.scripted_http import (
    Behaviour,
    Request,
    answering,
    closing_after,
    http_answer,
    resetting_after,
    scripted_server,
    silent_after,
)
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port

ANSWERS = {
    "sns": http_answer(
        "200 OK",
        "<PublishBatchResponse><PublishBatchResult><Successful/><Failed/></PublishBatchResult>"
        "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>",
    ),
    "sqs": http_answer("200 OK", "{}", "x-amzn-RequestId: r"),
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
FAILURES: dict[str, tuple[Behaviour, type[Exception]]] = {
    "closed before the answer": (closing_after(b""), ConnectionClosedError),
    "closed inside the head": (closing_after(HEAD[:20]), ConnectionClosedError),
    "closed inside the body": (closing_after(HEAD + b"{"), ConnectionClosedError),
    "closed inside a chunk": (
        closing_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        ConnectionClosedError,
    ),
    "reset before the answer": (resetting_after(b""), EndpointConnectionError),
    "reset inside the head": (resetting_after(HEAD[:20]), EndpointConnectionError),
    "reset inside the body": (resetting_after(HEAD + b"{"), ConnectionClosedError),
    "no answer": (silent_after(b""), ReadTimeoutError),
    "half an answer": (silent_after(HEAD + b"{"), ReadTimeoutError),
    "no HTTP": (closing_after(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), HTTPClientError),
    "no status": (closing_after(b"HTTP/1.1 OK\r\n\r\n"), HTTPClientError),
    "no chunk": (
        closing_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n\r\n"),
        HTTPClientError,
    ),
    "no length": (closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), HTTPClientError),
    "an endless head": (closing_after(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), HTTPClientError),
}


@pytest.mark.parametrize("service", ANSWERS)
@pytest.mark.parametrize("name", FAILURES)
async def test_a_connection_that_fails(name: str, service: str) -> None:
    """And the next call is answered, over another connection."""
    behaviour, expected = FAILURES[name]
    method = next(method for method, (of, _) in CALLS.items() if of == service)
    async with (
        scripted_server(behaviour) as server,
        both_clients(service, server.url, read_timeout=0.3) as pair,
    ):
        outcomes = []
        for client in pair:
            server.behave = behaviour
            failed = await outcome(client, method, CALLS[method][1])
            server.behave = answering(ANSWERS[service])
            outcomes.append((failed, await outcome(client, method, CALLS[method][1])))
    assert issubclass(outcomes[1][0][0], expected)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("method", CALLS)
async def test_nobody_listens(method: str) -> None:
    service, parameters = CALLS[method]
    for url in (f"http://{LOOPBACK}:{free_port()}", "http://nowhere.invalid:4566", f"https://{LOOPBACK}:{free_port()}"):
        async with both_clients(service, url) as (stock, before_it):
            theirs, ours = await outcome(stock, method, parameters), await outcome(before_it, method, parameters)
        assert ours == theirs
        assert ours[0] is EndpointConnectionError


async def test_connecting_takes_too_long() -> None:
    """A server that never begins to speak TLS."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        url = f"https://{LOOPBACK}:{listener.getsockname()[1]}"
        async with both_clients("sns", url, connect_timeout=0.3) as (stock, before_it):
            theirs = await outcome(stock, *_call("publish_batch"))
            ours = await outcome(before_it, *_call("publish_batch"))
    assert ours == theirs
    assert ours[0] is ConnectTimeoutError


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    body = ANSWERS["sns"].partition(b"\r\n\r\n")[2]
    await _agree_on("sns", "publish_batch", closing_after(b"HTTP/1.1 200 OK\r\n\r\n" + body))
    await _agree_on("sns", "publish_batch", closing_after(b"HTTP/1.0 200 OK\r\n\r\n" + body))


@pytest.mark.parametrize("ending", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
async def test_a_connection_that_the_server_gives_up_is_not_used_again(ending: bytes) -> None:
    answer = ANSWERS["sqs"].replace(b"HTTP/1.1 200 OK\r\n", ending)
    async with scripted_server(answering(answer)) as server, both_clients("sqs", server.url) as (_, before_it):
        for _ in range(3):
            assert "ResponseMetadata" in await outcome(before_it, *_call("receive_message"))
        assert server.connections == 3


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    async with (
        scripted_server(closing_after(ANSWERS["sqs"])) as server,
        both_clients("sqs", server.url) as (_, lean_one),
    ):
        for _ in range(3):
            assert "ResponseMetadata" in await outcome(lean_one, *_call("receive_message"))
            await eventually(lambda: _has_no_usable_connection(lean_one))
        assert server.connections == 3


async def test_connections_are_kept_and_bounded() -> None:
    """As many as there are calls in flight, and no more than the stock client may have."""
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.release()
        await go_on.wait()
        writer.write(ANSWERS["sns"])

    async with (
        scripted_server(behave) as server,
        both_clients("sns", server.url, max_pool_connections=3) as (_, before_it),
    ):
        for _ in range(2):
            go_on.clear()
            calls = [asyncio.create_task(outcome(before_it, *_call("publish_batch"))) for _ in range(10)]
            for _ in range(3):
                await asyncio.wait_for(arrived.acquire(), 10)
            assert arrived.locked()
            go_on.set()
            assert all("ResponseMetadata" in answer for answer in await asyncio.gather(*calls))
            while not arrived.locked():
                await arrived.acquire()
        assert server.connections == 3
        assert len(server.requests) == 20


async def test_a_call_that_is_cancelled_leaves_nothing_behind() -> None:
    """Its connection is closed, or the next call would read its answer."""
    arrived = asyncio.Semaphore(0)

    async def behave(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        arrived.release()
        await reader.read()

    async with scripted_server(behave) as server, both_clients("sqs", server.url) as (_, before_it):
        call = asyncio.create_task(outcome(before_it, *_call("receive_message")))
        await asyncio.wait_for(arrived.acquire(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.behave = answering(ANSWERS["sqs"])
        assert "ResponseMetadata" in await outcome(before_it, *_call("receive_message"))
        assert server.connections == 2


@pytest.mark.parametrize("method", ["publish_batch", "delete_message_batch"])
async def test_a_call_has_a_deadline_as_a_whole(method: str) -> None:
    service, parameters = CALLS[method]
    async with (
        scripted_server(_drip) as server,
        both_clients(service, server.url) as (stock, _),
        lean(stock, call_seconds=0.3) as bounded,
    ):
        with pytest.raises(TimeoutError):
            await getattr(bounded, method)(**parameters)


async def test_a_receive_may_take_as_long_as_it_waits_in_addition() -> None:
    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(longer)
        writer.write(ANSWERS["sqs"])

    longer = 0.5
    async with (
        scripted_server(behave) as server,
        both_clients("sqs", server.url) as (stock, _),
        lean(stock, call_seconds=0.2) as bounded,
    ):
        answer = await outcome(bounded, "receive_message", CALLS["receive_message"][1] | {"WaitTimeSeconds": 1})
        assert "ResponseMetadata" in answer


async def _has_no_usable_connection(client: Any) -> bool:
    pools = [pool for pool in client._transport._pools.values() if pool is not None]
    assert pools
    return not any(connection.is_usable for pool in pools for connection in pool._idle)


async def _agree_on(service: str, method: str, behaviour: Behaviour) -> None:
    async with scripted_server(behaviour) as server, both_clients(service, server.url) as (stock, before_it):
        theirs, ours = await outcome(stock, *_call(method)), await outcome(before_it, *_call(method))
    assert ours == theirs
    assert "ResponseMetadata" in ours


def _call(method: str) -> tuple[str, dict[str, Any]]:
    return method, CALLS[method][1]


async def _drip(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)
