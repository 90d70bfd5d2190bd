"""The protocol of Kafka, by aiokafka against Tansu."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from comparisons.brokers.candidate import CandidateBroker, CandidateTopic, NotOffered
from comparisons.brokers.servers.tansu_server import TansuServer
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome, Outcome, Permanent
from event_trio.broker.partitions import partition_of
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.source import BATCH, Message, MessageSource
from event_trio.broker.visibility_buffer import VisibilityBuffer

PARTITIONS = 4
SEND_SECONDS = 5
FAULTS = (KafkaError, OSError, TimeoutError)


class KafkaPublisher:
    """Sends with the key as the message group, and waits for the leader's acknowledgement."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        outcomes = await asyncio.gather(*(self._send(event) for event in events))
        if outage := next((each for each in outcomes if isinstance(each, BrokerOutage)), None):
            return outage
        kept = tuple(each for each in outcomes if not isinstance(each, BrokerOutage))
        return Answered(kept, all_accepted=all(isinstance(each, Accepted) for each in kept))

    async def check(self) -> str | None:
        return None

    async def _send(self, event: OutgoingEvent) -> Outcome | BrokerOutage:
        headers = [("id", event.deduplication_id.encode()), ("attributes", json.dumps(dict(event.attributes)).encode())]
        partition = partition_of(event.subject, PARTITIONS)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = await self._producer.send_and_wait(
                    self._topic, event.body, key=event.subject.encode(), partition=partition, headers=headers
                )
        except MessageSizeTooLargeError as error:
            return Permanent(str(error))
        except FAULTS as error:
            return BrokerOutage(f"{type(error).__name__}: {error}")
        return Accepted(f"{sent.partition}:{sent.offset}")


class KafkaSource:
    """A member of a consumer group. What is deleted out of order is committed when all before it is deleted."""

    system = "kafka"

    def __init__(self, consumer: AIOKafkaConsumer, name: str) -> None:
        self.name = name
        self._consumer = consumer
        self._buffer: VisibilityBuffer[tuple[TopicPartition, int]] = VisibilityBuffer()
        self._open: dict[TopicPartition, set[int]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._numbers = itertools.count(1)

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            taken = await self._buffer.take(most, wait_seconds=0, visibility_seconds=visibility_seconds)
            left = deadline - asyncio.get_running_loop().time()
            if taken or left < 0:
                return taken
            self._add(await self._consumer.getmany(timeout_ms=int(min(left, 0.2) * 1000) + 1, max_records=100))

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        deleted, rejected = self._buffer.remove(messages)
        for partition, offset in deleted:
            self._open[partition].discard(offset)
        changed = {partition for partition, _ in deleted}
        positions = {each: min(self._open[each], default=self._next[each]) for each in changed}
        with contextlib.suppress(*FAULTS):
            await self._consumer.commit(positions)
        return rejected

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return self._buffer.extend(messages, seconds)

    async def url(self) -> str:
        return f"kafka:{self.name}"

    def _add(self, found: dict[TopicPartition, list[Any]]) -> None:
        for partition, records in found.items():
            for record in records:
                headers = dict(record.headers)
                self._open.setdefault(partition, set()).add(record.offset)
                self._next[partition] = record.offset + 1
                key, group = headers["id"].decode(), record.key.decode()
                sent = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                attributes = json.loads(headers["attributes"])
                number = str(next(self._numbers))
                message = Message(key, "", record.value.decode(), group, key, number, 0, sent, attributes)
                self._buffer.add(message, (partition, record.offset))


class KafkaTopic(CandidateTopic):
    """A topic with partitions."""

    def __init__(self, producer: AIOKafkaProducer, url: str, name: str) -> None:
        self.publisher = KafkaPublisher(producer, name)
        self._url, self._name = url, name

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        """A consumer group without a position begins at the start of the topic."""

    async def publish_together(self, groups: Sequence[str], *, fail: bool) -> None:
        raise NotOffered("not shown: Apache Kafka has transactions, this broker fails them")

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        consumer = AIOKafkaConsumer(
            self._name,
            bootstrap_servers=self._url,
            group_id=f"{subscriber}-{self._name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
        )
        await consumer.start()
        try:
            # Joining a group takes seconds.
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
            yield KafkaSource(consumer, f"{subscriber}-{self._name}")
        finally:
            await consumer.stop()


class KafkaCandidate(CandidateBroker):
    """One broker, with its data in memory."""

    column = "Kafka protocol (Tansu)"

    async def start(self, environment: ComparisonEnvironment) -> None:
        self.server = await environment.enter(TansuServer())

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        if self.server is None:
            raise ValueError("not started")
        admin = AIOKafkaAdminClient(bootstrap_servers=self.server.url)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1)])
        finally:
            await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=self.server.url, max_request_size=20_000_000)
        await producer.start()
        try:
            yield KafkaTopic(producer, self.server.url, name)
        finally:
            await producer.stop()

    def version(self) -> str:
        return self.server.version() if self.server else ""
