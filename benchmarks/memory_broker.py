"""A topic and its publish-check queue in memory, which acknowledge at once, so that the broker is not measured."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

ANSWERED = {"ResponseMetadata": {"RequestId": "stub", "HTTPStatusCode": 200}}
"""The metadata of every answer of AWS, by which the relay recognizes one."""


class MemoryBroker:
    """Replaces both clients of a relay. `done` is set when `expected` events are deleted, which confirms them.

    Times are monotonic seconds.
    """

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._queue: deque[dict[str, Any]] = deque()
        self._arrived = asyncio.Event()
        self.done = asyncio.Event()
        self.first_call_at = 0.0
        self.last_confirmed_at = 0.0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Relays that are built in the block use this broker."""

        @asynccontextmanager
        async def client(*_: object, **__: object) -> AsyncIterator[MemoryBroker]:
            yield self

        with patch("services.relay.connections.sns", client), patch("services.relay.connections.sqs", client):
            yield

    async def publish_batch(self, *, PublishBatchRequestEntries: list[dict[str, Any]], **_: object) -> Any:  # noqa: N803
        self.first_call_at = self.first_call_at or time.monotonic()
        self._queue.extend(PublishBatchRequestEntries)
        self._arrived.set()
        return ANSWERED | {
            "Successful": [{"Id": entry["Id"], "MessageId": entry["Id"]} for entry in PublishBatchRequestEntries]
        }

    async def receive_message(self, *, MaxNumberOfMessages: int, WaitTimeSeconds: int, **_: object) -> Any:  # noqa: N803
        if not self._queue:
            self._arrived.clear()
            try:
                async with asyncio.timeout(WaitTimeSeconds):
                    await self._arrived.wait()
            except TimeoutError:
                return ANSWERED
        entries = [self._queue.popleft() for _ in range(min(MaxNumberOfMessages, len(self._queue)))]
        # A receive call that never yields would block every other task.
        await asyncio.sleep(0)
        return ANSWERED | {"Messages": [_message(entry) for entry in entries]}

    async def delete_message_batch(self, *, Entries: list[dict[str, Any]], **_: object) -> Any:  # noqa: N803
        self._left -= len(Entries)
        if self._left <= 0 and not self.done.is_set():
            self.last_confirmed_at = time.monotonic()
            self.done.set()
        return ANSWERED

    async def get_queue_url(self, **_: object) -> Any:
        return ANSWERED | {"QueueUrl": "stub"}

    async def get_queue_attributes(self, **_: object) -> Any:
        return ANSWERED | {
            "Attributes": {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:stub", "CreatedTimestamp": "1"}
        }

    async def get_topic_attributes(self, **_: object) -> Any:
        return ANSWERED | {"Attributes": {}}


def _message(entry: dict[str, Any]) -> dict[str, Any]:
    """A published entry as it is received: raw, with the attributes of the broker."""
    attributes = {
        "MessageGroupId": entry["MessageGroupId"],
        "MessageDeduplicationId": entry["MessageDeduplicationId"],
        "ApproximateReceiveCount": "1",
    }
    return {"MessageId": entry["Id"], "ReceiptHandle": "r", "Body": entry["Message"], "Attributes": attributes}
