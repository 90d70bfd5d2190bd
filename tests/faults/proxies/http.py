"""Reads and writes HTTP/1.1 messages with a body of a known or chunked length."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qsl, urlencode


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response; the head has no final empty line."""

    head: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        """The message as it is sent."""
        return self.head + b"\r\n\r\n" + self.body

    def with_body(self, body: bytes) -> Self:
        """The message with another body and the length of it."""
        kept = [line for line in self.head.split(b"\r\n") if not _is(line, b"content-length", b"transfer-encoding")]
        return replace(self, head=b"\r\n".join([*kept, b"Content-Length: %d" % len(body)]), body=body)

    def without(self, *names: bytes) -> Self:
        """The message without these headers."""
        kept = [line for line in self.head.split(b"\r\n") if not _is(line, *names)]
        return replace(self, head=b"\r\n".join(kept))

    @property
    def action(self) -> str:
        """The action of an AWS request, from the header of the JSON protocol or the form of the query protocol."""
        for line in self.head.split(b"\r\n"):
            if _is(line, b"x-amz-target"):
                return line.rpartition(b".")[2].decode()
        return dict(self.form[:1] + self.form).get("Action", "")

    @property
    def form(self) -> list[tuple[str, str]]:
        """The fields of a form."""
        if not self.body.startswith((b"Action=", b"Version=")) and b"Action=" not in self.body[:4096]:
            return []
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    def with_form(self, form: list[tuple[str, str]]) -> Self:
        """The request with other fields."""
        return self.with_body(urlencode(form).encode())


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Read one message. Raises asyncio.IncompleteReadError at the end of the stream."""
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return Message(head, b"").with_body(await _chunks(reader))
    for line in lower.split(b"\r\n"):
        if _is(line, b"content-length"):
            return Message(head, await reader.readexactly(int(line.partition(b":")[2])))
    return Message(head, b"")


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _is(line: bytes, *names: bytes) -> bool:
    return line.partition(b":")[0].strip().lower() in names
