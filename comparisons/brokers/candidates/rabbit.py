"""RabbitMQ: a fan-out to queues, by the library's own extra, and a stream."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, ExchangeType

from comparisons.brokers.candidate import CandidateBroker, CandidateTopic, started
from comparisons.brokers.servers.rabbitmq_server import RabbitServer
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.rabbitmq import RabbitPublisher, RabbitSource, create_topic, subscribe
from event_trio.broker.source import BATCH, Message, MessageSource
from event_trio.broker.visibility_buffer import VisibilityBuffer

PARTITIONS = 4


class RabbitTopic(CandidateTopic):
    """An exchange with a queue for each partition of each subscriber."""

    def __init__(self, url: str, name: str) -> None:
        self.publisher: RabbitPublisher = RabbitPublisher(url, name, call_seconds=5, partitions=PARTITIONS)
        self._url, self._name = url, name

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        await subscribe(self._url, self._name, subscriber, types=types, partitions=PARTITIONS, replicated=False)

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        async with RabbitSource(self._url, self._name, subscriber, partitions=PARTITIONS) as opened:
            yield opened

    async def dead_letters(self, subscriber: str) -> int:
        """Reject a message of a queue with a dead-letter exchange, which is what a consumer does there."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            dead = await channel.declare_queue(f"{self._name}-dead", durable=True)
            arguments: Any = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
            queue = await channel.declare_queue(f"{self._name}-work", durable=True, arguments=arguments)
            await channel.default_exchange.publish(aio_pika.Message(b"poison"), queue.name)
            await (await _get(queue)).reject(requeue=False)
            moved = await _get(dead)
            await moved.ack()
            return int(moved.body == b"poison")

    async def publish_together(self, groups: Sequence[str], *, fail: bool) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel(publisher_confirms=False)
            transaction = channel.transaction()
            await transaction.select()
            exchange = await channel.get_exchange(self._name)
            for number, group in enumerate(groups):
                message = aio_pika.Message(b"{}", headers={"event-group": group}, message_id=group)
                await exchange.publish(message, f"{number}.test.counted")
            await (transaction.rollback() if fail else transaction.commit())


async def _get(queue: AbstractQueue) -> AbstractIncomingMessage:
    """Wait for a message: a dead letter is moved after its rejection. Raises TimeoutError."""
    async with asyncio.timeout(5):
        while (found := await queue.get(fail=False)) is None:  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.02)
    return found


class RabbitCandidate(CandidateBroker):
    """One node with classic durable queues."""

    column = "RabbitMQ"

    async def start(self, environment: ComparisonEnvironment) -> None:
        self.server = await environment.enter(RabbitServer())

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        if self.server is None:
            raise ValueError("not started")
        await create_topic(self.server.url, name)
        made = RabbitTopic(self.server.url, name)
        try:
            yield made
        finally:
            await made.publisher.close()

    def version(self) -> str:
        return self.server.version() if self.server else ""


class StreamSource:
    """Reads a stream from its beginning, or from now on; the broker keeps no position for AMQP 0.9.1."""

    system = "rabbitmq"

    def __init__(self, name: str) -> None:
        self.name = name
        self.buffer: VisibilityBuffer[AbstractIncomingMessage] = VisibilityBuffer()
        self._numbers = itertools.count(1)

    async def on_message(self, raw: AbstractIncomingMessage) -> None:
        """Buffer a message; the stream keeps it, whatever is acknowledged."""
        headers = raw.headers or {}
        attributes = {"type": str(headers.get("event-attribute-type", ""))}
        number, group, key = str(next(self._numbers)), str(headers.get("event-group", "")), raw.message_id or ""
        sent = raw.timestamp or datetime.now(UTC)
        self.buffer.add(Message(key, "", raw.body.decode(), group, key, number, 0, sent, attributes), raw)

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        return await self.buffer.take(most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        delivered, rejected = self.buffer.remove(messages)
        for each in delivered:
            await each.ack()
        return rejected

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return self.buffer.extend(messages, seconds)

    async def url(self) -> str:
        return f"rabbitmq:{self.name}"


class RabbitStreamTopic(CandidateTopic):
    """An exchange bound to one stream, which all subscribers read."""

    def __init__(self, url: str, name: str) -> None:
        self.publisher: RabbitPublisher = RabbitPublisher(url, name, call_seconds=5, partitions=1)
        self._url, self._name = url, name

    async def create(self) -> None:
        """Create the exchange and its stream."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.declare_exchange(self._name, ExchangeType.TOPIC, durable=True)
            stream = await channel.declare_queue(self._name, durable=True, arguments={"x-queue-type": "stream"})
            await stream.bind(self._name, routing_key="#")

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        """A subscriber of a stream is no object of the broker."""

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        source = StreamSource(f"{subscriber}-{self._name}")
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=500)
            queue = await channel.get_queue(self._name, ensure=False)
            await queue.consume(source.on_message, arguments={"x-stream-offset": "first"})
            yield source


class RabbitStreamCandidate(CandidateBroker):
    """A stream of the same node."""

    column = "RabbitMQ stream"

    async def start(self, environment: ComparisonEnvironment) -> None:
        self.server = (await started(environment, RabbitCandidate)).server

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        if self.server is None:
            raise ValueError("not started")
        made = RabbitStreamTopic(self.server.url, f"stream-{name}")
        await made.create()
        try:
            yield made
        finally:
            await made.publisher.close()

    def version(self) -> str:
        return self.server.version() if self.server else ""
