"""Publishes to the exchange of a topic, with confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, DeliveryError

from ..outcome import Accepted, Answered, BrokerOutage, CallOutcome, CallRejected, Outcome, Transient
from ..partitions import PARTITIONS, partition_of
from ..publisher import OutgoingEvent
from .naming import ATTRIBUTE_HEADER, CLOSE_SECONDS, FAULTS, GROUP_HEADER, routing_key, text_of


class RabbitPublisher:
    """Publishes to the exchange of one topic, with confirms. It connects at the first call, and after a failure."""

    def __init__(self, url: str, topic: str, *, call_seconds: float = 5.0, partitions: int = PARTITIONS) -> None:
        self._url = url
        self._topic = topic
        self._call_seconds = call_seconds
        self._partitions = partitions
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._connecting = asyncio.Lock()

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        """Publish the events beside each other: they belong to different groups."""
        try:
            async with asyncio.timeout(self._call_seconds):
                exchange = await self._opened()
                outcomes = await asyncio.gather(*(self._send(exchange, event) for event in events))
        except ChannelNotFoundEntity:
            await self._forget()
            return BrokerOutage(f"exchange {self._topic} does not exist; create the topology")
        except ChannelClosed as error:
            # One event has closed the channel, for instance because it is too large.
            await self._forget()
            return CallRejected(text_of(error))
        except FAULTS as error:
            await self._forget()
            return BrokerOutage(text_of(error))
        return Answered(tuple(outcomes), all_accepted=all(type(each) is Accepted for each in outcomes))

    async def check(self) -> str | None:
        """Return why the exchange cannot be used, or None."""
        try:
            async with asyncio.timeout(self._call_seconds):
                await self._opened()
        except ChannelNotFoundEntity:
            await self._forget()
            return f"exchange {self._topic} does not exist; create the topology"
        except FAULTS as error:
            await self._forget()
            return f"exchange {self._topic} cannot be used: {text_of(error)}"
        return None

    async def close(self) -> None:
        """Close the connection."""
        await self._forget()

    async def _send(self, exchange: AbstractExchange, event: OutgoingEvent) -> Outcome:
        headers = {f"{ATTRIBUTE_HEADER}{name}": value for name, value in event.attributes.items()}
        message = aio_pika.Message(
            event.body,
            message_id=event.deduplication_id,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            timestamp=datetime.now(UTC),
            headers={**headers, GROUP_HEADER: event.subject},
        )
        partition = partition_of(event.subject, self._partitions)
        key = routing_key(partition, event.attributes.get("type", ""))
        try:
            # With `mandatory`, an event that no queue would get is returned instead of dropped.
            await exchange.publish(message, key, mandatory=True)
        except DeliveryError as error:
            returned = error.message is not None
            return Transient("no queue is bound for it; create the topology" if returned else "the broker rejected it")
        return Accepted(event.deduplication_id)

    async def _opened(self) -> AbstractExchange:
        async with self._connecting:
            if self._exchange is None or self._connection is None or not self._connection.connected.is_set():
                self._connection = await aio_pika.connect(self._url, timeout=self._call_seconds)
                channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                self._exchange = await channel.get_exchange(self._topic, ensure=True)
            return self._exchange

    async def _forget(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with suppress(*FAULTS):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()
