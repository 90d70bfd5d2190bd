"""The interface of every sender, and its errors."""

from __future__ import annotations

from typing import Protocol

from event_trio.errors import EventTrioError

from ..domain import OutboundMessage

LEAST_SECONDS = 1.0
"""The least time before an unavailable channel is tried again."""


class SendFailed(EventTrioError):
    """This message could not be sent this time; another attempt may succeed."""


class SendRejected(EventTrioError):
    """This message can never be sent: its recipient or its content is rejected."""


class SenderUnavailable(EventTrioError):
    """The channel as a whole cannot be used, which counts as no attempt; retry after `seconds`.

    `may_be_message` says that the failure came after the message was begun, so that the message may be its cause.
    """

    def __init__(self, seconds: float, message: str | None = None, *, may_be_message: bool = False) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.may_be_message = may_be_message


class Sender(Protocol):
    """Sends messages to customers over one channel."""

    channel: str

    async def send(self, message: OutboundMessage) -> None:
        """Send a message. When it returns, the channel has accepted the message.

        After a crash the same message may be sent again with the same key, by which a receiver can recognise it. Runs
        outside any database transaction. Raises SendFailed, SendRejected or SenderUnavailable, whose texts do not name
        the recipient.
        """
        ...
