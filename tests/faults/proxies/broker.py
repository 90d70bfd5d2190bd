"""An HTTP proxy of the broker. It records what the broker accepted and gave back, and applies the fault that is set."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import TypeAlias
from urllib.parse import urlsplit

from tests.faults.payloads import facts_of
from tests.faults.proxies.http import Message, read_message
from tests.faults.recording import Recorder
from tools.embedded.ports import LOOPBACK

Forward: TypeAlias = Callable[[Message], Awaitable[Message]]
BrokerFault: TypeAlias = Callable[[Message, Forward], Awaitable[bytes | None]]
"""Answers a request: the bytes to send, None to reset the connection, or empty bytes to send nothing at all."""

PUBLISH_CHECK = b"publish-check"
SUCCESSFUL = re.compile(r"<Successful>(.*?)</Successful>", re.DOTALL)
ENTRY_ID = re.compile(r"<Id>(.*?)</Id>")
MEMBER = re.compile(r"PublishBatchRequestEntries\.(?:member|entry)\.(\d+)\.(Id|Message)$")


@dataclass
class BrokerProxy:
    """The proxy; `url` is the endpoint for clients."""

    url: str
    upstream: str
    recorder: Recorder | None = None
    check_visibility_seconds: int | None = None
    """The longest visibility timeout that a receive of the publish check gets; None if what it asks for."""
    hits: dict[str, int] = field(default_factory=dict)
    """How many calls of each action the present fault was applied to."""
    _actions: frozenset[str] = frozenset()
    _fault: BrokerFault | None = None
    _every: Callable[[], bool] = lambda: True
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def set_fault(self, fault: BrokerFault, *actions: str, when: Callable[[], bool] = lambda: True) -> None:
        """Apply the fault to calls of these actions, each time `when` is true."""
        self.hits, self._fault, self._actions, self._every = {}, fault, frozenset(actions), when

    def clear(self) -> None:
        """Let all calls pass."""
        self._fault = None

    def cut_connections(self) -> None:
        """Close every open connection, as a peer that restarts does."""
        for connection in list(self._connections):
            connection.cancel()

    async def answer(self, request: Message) -> bytes | None:
        """The answer to a request."""
        action = request.action
        if self._fault is not None and action in self._actions and self._every():
            self.hits[action] = self.hits.get(action, 0) + 1
            return await self._fault(request, self.forward)
        return (await self.forward(request)).to_bytes()

    async def forward(self, request: Message) -> Message:
        """Send a request to the broker, and record the entries that it accepts or gives back on the publish check."""
        address = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            sent = self._sooner_visible(request).without(b"connection", b"expect")
            writer.write(Message(sent.head + b"\r\nConnection: close", sent.body).to_bytes())
            await writer.drain()
            response = (await read_message(reader)).without(b"connection")
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        if request.action == "PublishBatch" and self.recorder is not None:
            self._record(request, response)
        if request.action == "ReceiveMessage" and PUBLISH_CHECK in request.body and self.recorder is not None:
            for message in json.loads(response.body or b"{}").get("Messages") or []:
                with suppress(ValueError, LookupError, TypeError):  # a foreign message
                    self.recorder.write("returned", **facts_of(json.loads(message["Body"])))
        return response

    def _sooner_visible(self, request: Message) -> Message:
        """The request with a shorter visibility timeout: what a killed relay had received comes again after it."""
        longest = self.check_visibility_seconds
        if longest is None or request.action != "ReceiveMessage" or PUBLISH_CHECK not in request.body:
            return request
        fields = json.loads(request.body)
        fields["VisibilityTimeout"] = min(longest, fields["VisibilityTimeout"])
        return request.with_body(json.dumps(fields).encode())

    def _record(self, request: Message, response: Message) -> None:
        found = SUCCESSFUL.search(response.body.decode())
        accepted = set(ENTRY_ID.findall(found[1])) if found else set()
        for id, message in entries_of(request):
            if id in accepted:
                self.recorder.write("accepted", **facts_of(json.loads(message)))  # type: ignore[union-attr]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                answered = await self.answer(await read_message(reader))
                if answered is None:
                    _reset(writer)
                    return
                if not answered:
                    await reader.read()  # until the client gives up
                    return
                writer.write(answered)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def close(self) -> None:
        """End all connections."""
        open_connections = list(self._connections)
        self.cut_connections()
        await asyncio.gather(*open_connections, return_exceptions=True)


@asynccontextmanager
async def broker_proxy(
    upstream: str, recorder: Recorder | None = None, *, check_visibility_seconds: int | None = None
) -> AsyncIterator[BrokerProxy]:
    """A proxy of the broker at this URL."""
    proxy = BrokerProxy("", upstream, recorder, check_visibility_seconds)
    server = await asyncio.start_server(proxy.serve, LOOPBACK, 0, limit=2**22)
    proxy.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def entries_of(request: Message) -> list[tuple[str, str]]:
    """The id and the message of each entry of a PublishBatch, in their order."""
    found: dict[int, dict[str, str]] = {}
    for name, value in request.form:
        if match := MEMBER.search(name):
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [(entry["Id"], entry["Message"]) for _, entry in sorted(found.items())]


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
