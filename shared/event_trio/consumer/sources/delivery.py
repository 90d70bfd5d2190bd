"""A message in the consumer's hands, from its receipt until it is settled or left to expire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from ...broker.queue import Message


@dataclass(slots=True, eq=False)
class Delivery:
    """One delivery and what is known of it here. Times are monotonic seconds."""

    message: Message
    received_at: float
    visible_at: float
    """When the broker gives the message to somebody else, unless it is extended."""
    failures: int = 0
    """Failed attempts of the handler; an outage of the database is none."""
    spent: float = 0.0
    """Seconds that the failed attempts and the waits after them took."""
    outages: int = 0
    """How often the database failed under it."""
    marked: bool = False
    """Whether a committed mark says that it was started."""
    alone: bool = False
    """Whether a mark was left behind, so that it may run only while nothing else does."""
    task: asyncio.Task[None] | None = None
    """What runs it right now."""

    @property
    def group(self) -> str:
        """The message's group. One without comes from a queue that is no FIFO queue, and is a group of its own."""
        return self.message.group or self.message.message_id

    @property
    def body(self) -> bytes:
        """The body as it came, as far as UTF-8 can say it."""
        return self.message.body.encode("utf-8", "backslashreplace")

    @property
    def suspect(self) -> bool:
        """Delivered so often that it may be what kills the process: it runs after a committed mark."""
        return self.message.receive_count >= SUSPECT_FROM

    def renew(self, message: Message, visible_at: float) -> None:
        """It was received again while it is in hand: from now on only the new receipt handle is good for anything.

        It is no more suspect than before, for the process that has it lives.
        """
        self.message = replace(message, receive_count=self.message.receive_count)
        self.visible_at = visible_at

    def is_lost(self, now: float) -> bool:
        """Whether the broker may have given it to somebody else by now."""
        return now >= self.visible_at


SUSPECT_FROM = 3
"""The delivery from which on a message is suspect: one redelivery has many innocent causes, two are rare."""
