"""Reads the messages of one subscriber from the durable consumers of its partitions."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import NotFoundError

from ...errors import BrokerUnavailable
from ..partitions import PARTITIONS, partition_of
from ..source import BATCH, Message, RejectedMessage
from .connection import FAULTS, text_of
from .naming import ATTRIBUTE_HEADER, DEDUPLICATION_HEADER, GROUP_HEADER, durable_of

GATHER_SECONDS = 0.002
"""After the first message a receive waits so long for those of other partitions."""
LEFT_SECONDS = 5.0
"""A message whose visibility ends sooner is not handed out any more: the server delivers it again."""


class JetStreamSource:
    """The messages of one subscriber: one outstanding request for each partition that has none in flight."""

    system = "nats"

    def __init__(
        self, client: Client, topic: str, subscriber: str, *, call_seconds: float = 5.0, partitions: int = PARTITIONS
    ) -> None:
        self.name = f"{subscriber}-{topic}"
        self._client = client
        self._stream = client.jetstream(timeout=call_seconds)
        self._topic = topic
        self._durables = [durable_of(subscriber, partition) for partition in range(partitions)]
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._asked_until = [0.0] * partitions
        self._arrived: deque[tuple[Msg, float]] = deque()
        self._has_arrived = asyncio.Event()
        self._wait = 60.0
        self._in_flight: dict[int, tuple[str, float]] = {}
        """The receipt handle of each partition's message, and when its visibility ends. The server takes an
        acknowledgement from a former reader of a message, too."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        """Receive up to `most` messages, of different partitions."""
        try:
            await self._ask(max(wait_seconds, 1))
            await self._wait_for_messages(wait_seconds)
            return [await self._hand_out(each, visibility_seconds) for each in self._take(most)]
        except FAULTS as error:
            raise BrokerUnavailable(f"cannot receive from {self.name}: {text_of(error)}") from error

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        """Acknowledge messages. The server answers, so that a message is not taken for acknowledged too early."""
        valid, stale = self._divide(messages)
        await self._settle([(message, b"+ACK") for message in valid], "acknowledge")
        return stale

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        """Keep messages invisible: a negative acknowledgement with a delay sets when they are delivered again."""
        valid, stale = self._divide(messages)
        for message in valid:
            self._is_in_flight(message.group, message.receipt_handle, seconds)
        await self._settle([(message, _again_after(seconds)) for message in valid], "extend")
        return stale

    async def url(self) -> str:
        """Its stream; raises BrokerUnavailable if the stream or the durable consumer does not exist."""
        if not self._client.is_connected:
            raise BrokerUnavailable("not connected to NATS")
        try:
            info = await self._stream.consumer_info(self._topic, self._durables[0])
        except NotFoundError as error:
            raise BrokerUnavailable(f"subscriber {self.name} does not exist; create the topology") from error
        except FAULTS as error:
            raise BrokerUnavailable(f"cannot find {self.name}: {text_of(error)}") from error
        self._wait = float(info.config.ack_wait or self._wait)
        return f"nats:{self.name}"

    async def close(self) -> None:
        """Stop receiving: the server gives what was not acknowledged to another process, when its visibility ends."""
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()
            await self._client.flush()
        self._subscription = None

    async def _ask(self, seconds: float) -> None:
        if not self._client.is_connected:
            self._asked_until = [0.0] * len(self._durables)
            raise BrokerUnavailable("not connected to NATS")
        if self._subscription is None:
            await self.url()
            self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_message)
        now = asyncio.get_running_loop().time()
        request = json.dumps({"batch": 1, "expires": int(seconds * 1e9)}).encode()
        for partition, durable in enumerate(self._durables):
            if self._asked_until[partition] <= now:
                self._asked_until[partition] = now + seconds
                subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._topic}.{durable}"
                await self._client.publish(subject, request, reply=f"{self._inbox}.{partition}")
        await self._client.flush()

    async def _on_message(self, message: Msg) -> None:
        partition = int(message.subject.rpartition(".")[2]) if message.subject.startswith(self._inbox) else None
        if partition is not None:
            # The end of a request: it expired, or the consumer is gone.
            self._asked_until[partition] = 0.0
            return
        self._asked_until[partition_of(_header(message, GROUP_HEADER), len(self._durables))] = 0.0
        self._arrived.append((message, asyncio.get_running_loop().time()))
        self._has_arrived.set()

    async def _wait_for_messages(self, seconds: float) -> None:
        if self._arrived:
            return
        self._has_arrived.clear()
        try:
            async with asyncio.timeout(seconds or GATHER_SECONDS * 10):
                await self._has_arrived.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_SECONDS)

    def _take(self, most: int) -> Iterable[Msg]:
        fresh_since = asyncio.get_running_loop().time() - max(0.0, self._wait - min(LEFT_SECONDS, self._wait / 4))
        while self._arrived and most > 0:
            message, at = self._arrived.popleft()
            if at >= fresh_since:
                most -= 1
                yield message

    async def _hand_out(self, raw: Msg, visibility_seconds: int) -> Message:
        self._is_in_flight(_header(raw, GROUP_HEADER), raw.reply, visibility_seconds)
        await self._client.publish(raw.reply, _again_after(visibility_seconds))
        return _message(raw)

    def _is_in_flight(self, group: str, handle: str, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        self._in_flight[partition_of(group, len(self._durables))] = (handle, until)

    def _divide(self, messages: Iterable[Message]) -> tuple[list[Message], list[Message]]:
        """The messages that are still this reader's, and the others."""
        valid: list[Message] = []
        stale: list[Message] = []
        for message in messages:
            handle, until = self._in_flight.get(partition_of(message.group, len(self._durables)), ("", 0.0))
            if handle == message.receipt_handle and asyncio.get_running_loop().time() < until:
                valid.append(message)
            else:
                stale.append(RejectedMessage.stale(message))
        return valid, stale

    async def _settle(self, answers: Sequence[tuple[Message, bytes]], verb: str) -> None:
        """Each answer is a request, to which the server replies."""
        try:
            await asyncio.gather(
                *(self._client.request(message.receipt_handle, answer, timeout=5) for message, answer in answers)
            )
        except FAULTS as error:
            raise BrokerUnavailable(f"cannot {verb} messages of {self.name}: {text_of(error)}") from error


def _again_after(seconds: float) -> bytes:
    return b"-NAK " + json.dumps({"delay": int(seconds * 1e9)}).encode()


def _message(raw: Msg) -> Message:
    details = raw.metadata
    headers = raw.headers or {}
    return Message(
        message_id=f"{details.stream}:{details.sequence.stream}",
        receipt_handle=raw.reply,
        body=raw.data.decode("utf-8", "surrogateescape"),
        group=_header(raw, GROUP_HEADER),
        deduplication_id=_header(raw, DEDUPLICATION_HEADER),
        sequence_number=str(details.sequence.stream),
        receive_count=details.num_delivered,
        sent_at=details.timestamp if details.timestamp.tzinfo else details.timestamp.replace(tzinfo=UTC),
        attributes={
            name.removeprefix(ATTRIBUTE_HEADER): value
            for name, value in headers.items()
            if name.startswith(ATTRIBUTE_HEADER)
        },
    )


def _header(message: Msg, name: str) -> str:
    return str((message.headers or {}).get(name, ""))
