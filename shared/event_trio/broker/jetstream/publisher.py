"""Publishes to the stream of a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client
from nats.errors import MaxPayloadError
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from ..outcome import Accepted, Answered, BrokerOutage, CallOutcome, Outcome, Permanent, Transient
from ..partitions import PARTITIONS, partition_of
from ..publisher import OutgoingEvent
from .connection import FAULTS, text_of
from .naming import ATTRIBUTE_HEADER, DEDUPLICATION_HEADER, GROUP_HEADER, subject_of


class JetStreamPublisher:
    """Publishes to the stream of one topic. An event is accepted when the stream has stored it."""

    def __init__(self, client: Client, topic: str, *, call_seconds: float = 5.0, partitions: int = PARTITIONS) -> None:
        self._client = client
        self._stream = client.jetstream(timeout=call_seconds)
        self._topic = topic
        self._call_seconds = call_seconds
        self._partitions = partitions

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        """Publish the events beside each other: they belong to different groups."""
        if not self._client.is_connected:
            # The client would keep what is sent now, and send it after the deadline.
            return BrokerOutage("not connected to NATS")
        outcomes = await asyncio.gather(*(self._send(event) for event in events))
        outage = next((each for each in outcomes if isinstance(each, BrokerOutage)), None)
        if outage is not None and not any(isinstance(each, Accepted) for each in outcomes):
            return outage
        settled = tuple(Transient(each.reason) if isinstance(each, BrokerOutage) else each for each in outcomes)
        return Answered(settled, all_accepted=all(type(each) is Accepted for each in settled))

    async def check(self) -> str | None:
        """Return why the stream cannot be used, or None."""
        if not self._client.is_connected:
            return "not connected to NATS"
        try:
            await self._stream.stream_info(self._topic)
        except NotFoundError:
            return f"stream {self._topic} does not exist; create the topology"
        except FAULTS as error:
            return f"stream {self._topic} cannot be used: {text_of(error)}"
        return None

    async def _send(self, event: OutgoingEvent) -> Outcome | BrokerOutage:
        headers = {f"{ATTRIBUTE_HEADER}{name}": value for name, value in event.attributes.items()}
        headers |= {GROUP_HEADER: event.subject, DEDUPLICATION_HEADER: event.deduplication_id}
        partition = partition_of(event.subject, self._partitions)
        subject = subject_of(self._topic, partition, event.attributes.get("type", ""))
        try:
            stored = await self._stream.publish(
                subject, event.body, timeout=self._call_seconds, stream=self._topic, headers=headers
            )
        except MaxPayloadError:
            return Permanent("the event is larger than max_payload of the server")
        except NoStreamResponseError:
            return BrokerOutage(f"stream {self._topic} does not exist; create the topology")
        except APIError as error:
            return Transient(f"{error.err_code}: {error.description}")
        except FAULTS as error:
            return BrokerOutage(text_of(error))
        return Accepted(f"{stored.stream}:{stored.seq}")
