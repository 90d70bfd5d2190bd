"""A FIFO queue in memory, as its reader sees it: the order and visibility of a real one, without a broker."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ..broker.queue import BATCH, Message, Queue
from ..envelope import Envelope


@dataclass
class _Held:
    event: Envelope
    number: int
    receives: int = 0
    handle: str = ""
    visible_at: float = 0.0


class MemoryQueue(Queue):
    """While messages of a group are in flight, the rest of that group is not delivered. Calls are counted."""

    def __init__(self, name: str = "memory.fifo") -> None:
        self.name = name
        self.calls: Counter[str] = Counter()
        self._groups: dict[str, list[_Held]] = {}
        self._numbers = itertools.count(1)
        self._arrived = asyncio.Event()

    def send(self, event: Envelope) -> None:
        """Add an event."""
        self._groups.setdefault(event.partitionkey, []).append(_Held(event, next(self._numbers)))
        self._arrived.set()

    def send_body(self, body: bytes) -> None:
        """Add an event as it goes on the wire."""
        self.send(Envelope.parse(body))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left, neither visible nor in flight."""
        return not self._groups

    async def url(self) -> str:
        return f"memory:{self.name}"

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        self.calls["receive"] += 1
        found = self._take(most, visibility_seconds)
        if not found and wait_seconds:
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(wait_seconds, self._next_visible())):
                    await self._arrived.wait()
            except TimeoutError:
                pass
            found = self._take(most, visibility_seconds)
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        self.calls["delete"] += 1
        for message in messages:
            left = [held for held in self._groups.get(message.group, []) if held.handle != message.receipt_handle]
            self._groups[message.group] = left
            if not left:
                del self._groups[message.group]
        self._arrived.set()
        return []

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        self.calls["extend"] += 1
        handles = {message.receipt_handle for message in messages}
        for held in itertools.chain.from_iterable(self._groups.values()):
            if held.handle in handles:
                held.visible_at = asyncio.get_running_loop().time() + seconds
        return []

    def _take(self, most: int, visibility_seconds: int) -> list[Message]:
        now = asyncio.get_running_loop().time()
        taken: list[Message] = []
        for group, entries in self._groups.items():
            if any(held.visible_at > now for held in entries):
                continue
            for held in entries[: most - len(taken)]:
                held.receives += 1
                held.handle = f"{held.number}.{held.receives}"
                held.visible_at = now + visibility_seconds
                taken.append(_message(group, held))
            if len(taken) >= most:
                break
        return taken

    def _next_visible(self) -> float:
        now = asyncio.get_running_loop().time()
        times = [held.visible_at - now for held in itertools.chain.from_iterable(self._groups.values())]
        return max(0.01, min((left for left in times if left > 0), default=3600.0))


def _message(group: str, held: _Held) -> Message:
    return Message(
        message_id=f"m-{held.number}",
        receipt_handle=held.handle,
        body=held.event.to_bytes().decode(),
        group=group,
        deduplication_id=str(held.event.id),
        sequence_number=str(held.number),
        receive_count=held.receives,
        sent_at=datetime.now(UTC),
        attributes={"type": held.event.type},
    )
