"""Gives messages that a broker pushed to this process the visibility that a consumer expects of a source.

For a source of a broker that knows no visibility timeout: the broker keeps a message until it is acknowledged or the
connection ends, and this buffer decides when it is handed out, and when again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from .source import Message, RejectedMessage

T = TypeVar("T")


@dataclass(slots=True)
class _Buffered(Generic[T]):
    message: Message
    token: T
    handle: str = ""
    receives: int = 0
    visible_at: float = 0.0


class VisibilityBuffer(Generic[T]):
    """The messages that the broker has given to this process, by group, each with a token for its acknowledgement.

    Nothing of a group is handed out while an earlier message of it is invisible. Not for several event loops.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[str, list[_Buffered[T]]] = {}
        self._by_handle: dict[str, _Buffered[T]] = {}
        self._handed_out = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(each) for each in self._groups.values())

    def add(self, message: Message, token: T) -> None:
        """Append a message to its group. Its receive count is that of earlier deliveries."""
        self._groups.setdefault(message.group, []).append(_Buffered(message, token))
        self._changed.set()

    def clear(self) -> None:
        """Forget all messages: the connection ended, so the broker delivers them again, here or elsewhere."""
        self._groups.clear()
        self._by_handle.clear()
        self._changed.set()

    async def take(self, most: int, *, wait_seconds: float, visibility_seconds: float) -> list[Message]:
        """Hand out up to `most` visible messages, and wait for the first."""
        deadline = self._clock() + wait_seconds
        while not (taken := self._take(most, visibility_seconds)) and (now := self._clock()) < deadline:
            self._changed.clear()
            try:
                async with asyncio.timeout(min(deadline - now, self._next_visible(now))):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return taken

    def remove(self, messages: Iterable[Message]) -> tuple[list[T], list[Message]]:
        """Remove messages; returns their tokens, and the messages whose receipt handle is not valid any more."""
        tokens: list[T] = []
        rejected: list[Message] = []
        for message in messages:
            held = self._by_handle.pop(message.receipt_handle, None)
            if held is None:
                rejected.append(RejectedMessage.stale(message))
                continue
            tokens.append(held.token)
            group = self._groups[held.message.group]
            group.remove(held)
            if not group:
                del self._groups[held.message.group]
        self._changed.set()
        return tokens, rejected

    def extend(self, messages: Iterable[Message], seconds: float) -> list[Message]:
        """Keep messages invisible from now; returns those whose receipt handle is not valid any more."""
        rejected: list[Message] = []
        for message in messages:
            held = self._by_handle.get(message.receipt_handle)
            if held is None:
                rejected.append(RejectedMessage.stale(message))
            else:
                held.visible_at = self._clock() + seconds
        return rejected

    def _take(self, most: int, visibility_seconds: float) -> list[Message]:
        now = self._clock()
        taken: list[Message] = []
        for group in self._groups.values():
            if len(taken) >= most:
                break
            if any(held.visible_at > now for held in group):
                continue
            taken += [self._hand_out(held, now + visibility_seconds) for held in group[: most - len(taken)]]
        return taken

    def _hand_out(self, held: _Buffered[T], visible_at: float) -> Message:
        self._by_handle.pop(held.handle, None)
        self._handed_out += 1
        held.receives += 1
        held.handle, held.visible_at = str(self._handed_out), visible_at
        self._by_handle[held.handle] = held
        count = held.message.receive_count + held.receives
        return replace(held.message, receipt_handle=held.handle, receive_count=count)

    def _next_visible(self, now: float) -> float:
        times = (held.visible_at - now for group in self._groups.values() for held in group)
        return max(0.01, min((left for left in times if left > 0), default=3600.0))
