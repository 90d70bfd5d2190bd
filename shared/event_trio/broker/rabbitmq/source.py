"""Reads the messages of one subscriber from the queues of its partitions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC
from functools import partial
from types import TracebackType
from typing import Self

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from ...errors import BrokerUnavailable
from ..partitions import PARTITIONS
from ..source import BATCH, SENT_AT_UNKNOWN, Message
from ..visibility_buffer import VisibilityBuffer
from .naming import ATTRIBUTE_HEADER, CLOSE_SECONDS, FAULTS, GROUP_HEADER, queue_name, text_of

DELIVERIES_HEADER = "x-delivery-count"
PREFETCH = 50
"""Messages of a partition in memory: while a group waits, so many of other groups can pass."""


class RabbitSource:
    """The messages of one subscriber. One process at a time reads a partition; others stand by."""

    system = "rabbitmq"

    def __init__(
        self,
        url: str,
        topic: str,
        subscriber: str,
        *,
        call_seconds: float = 5.0,
        partitions: int = PARTITIONS,
        prefetch: int = PREFETCH,
    ) -> None:
        self.name = f"{subscriber}-{topic}"
        self._url = url
        self._queues = [queue_name(topic, subscriber, partition) for partition in range(partitions)]
        self._call_seconds = call_seconds
        self._prefetch = prefetch
        self._connection: AbstractConnection | None = None
        self._buffer: VisibilityBuffer[AbstractIncomingMessage] = VisibilityBuffer()
        self._numbers = itertools.count(1)
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        """Receive up to `most` messages."""
        await self._consume()
        return await self._buffer.take(most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        """Acknowledge messages."""
        delivered, rejected = self._buffer.remove(messages)
        try:
            async with asyncio.timeout(self._call_seconds):
                for each in delivered:
                    await each.ack()
        except FAULTS as error:
            await self._lose()
            raise BrokerUnavailable(f"cannot acknowledge messages of {self.name}: {text_of(error)}") from error
        return rejected

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        """Keep messages invisible. The broker is not asked: it keeps them until the connection ends."""
        return self._buffer.extend(messages, seconds)

    async def url(self) -> str:
        """Its first queue; raises BrokerUnavailable if a queue does not exist."""
        await self._consume()
        return f"rabbitmq:{self._queues[0]}"

    async def close(self) -> None:
        """Close the connection: the broker gives what was not acknowledged to another process."""
        await self._lose()

    async def _consume(self) -> None:
        async with self._connecting:
            if self._connection is not None:
                return
            await self._lose()
            try:
                async with asyncio.timeout(self._call_seconds):
                    self._connection = connection = await aio_pika.connect(self._url)
                    connection.close_callbacks.add(lambda *_: self._closed(connection))
                    for name in self._queues:
                        await self._consume_queue(connection, name)
            except ChannelNotFoundEntity as error:
                await self._lose()
                raise BrokerUnavailable(f"a queue of {self.name} does not exist; create the topology") from error
            except FAULTS as error:
                await self._lose()
                raise BrokerUnavailable(f"cannot receive from {self.name}: {text_of(error)}") from error

    def _closed(self, connection: AbstractConnection) -> None:
        """Forget its messages. The end of a connection can be reported after the next one is open."""
        if connection is self._connection:
            self._connection = None
            self._buffer.clear()

    async def _consume_queue(self, connection: AbstractConnection, name: str) -> None:
        channel = await connection.channel()
        channel.close_callbacks.add(lambda *_: self._closed(connection))
        await channel.set_qos(prefetch_count=self._prefetch)
        queue = await channel.get_queue(name, ensure=True)
        await queue.consume(partial(self._on_message, connection))

    async def _on_message(self, connection: AbstractConnection, raw: AbstractIncomingMessage) -> None:
        if connection is self._connection:
            self._buffer.add(_message(raw, next(self._numbers)), raw)

    async def _lose(self) -> None:
        connection, self._connection = self._connection, None
        self._buffer.clear()
        if connection is not None:
            with suppress(*FAULTS):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()


def _message(raw: AbstractIncomingMessage, number: int) -> Message:
    headers = raw.headers or {}
    earlier = headers.get(DELIVERIES_HEADER)
    return Message(
        message_id=raw.message_id or f"{raw.delivery_tag}",
        receipt_handle="",
        body=raw.body.decode("utf-8", "surrogateescape"),
        group=str(headers.get(GROUP_HEADER, "")),
        deduplication_id=raw.message_id or "",
        sequence_number=str(number),
        receive_count=int(str(earlier)) if earlier is not None else int(bool(raw.redelivered)),
        sent_at=raw.timestamp.replace(tzinfo=UTC) if raw.timestamp else SENT_AT_UNKNOWN,
        attributes={
            name.removeprefix(ATTRIBUTE_HEADER): str(value)
            for name, value in headers.items()
            if name.startswith(ATTRIBUTE_HEADER)
        },
    )
